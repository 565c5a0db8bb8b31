"""CTC decoders: a class per frame, blanks between characters."""

from collections.abc import Sequence

import torch
from mmocr.models.textrecog.module_losses import CTCModuleLoss
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.device import on_device

from ...valid_ratio import num_valid
from ..character_features import DecodedSteps
from ..ctc_alignment import best_alignment
from .adapter import DecoderAdapter


class CTCAdapter(DecoderAdapter):
    """Base of adapters for CTC decoders."""

    has_characters = True

    def loss_fits(self) -> bool:
        """Whether the loss is CTC's."""
        return isinstance(self.decoder.module_loss, CTCModuleLoss)

    @property
    def loss_names(self) -> tuple[str, ...]:
        return ('loss_ctc',)

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        logits = self.decoder.forward_train(feature_map, sequence)
        device, count = logits.device, logits.size(1)
        blank = self.decoder.dictionary.padding_idx
        texts = [
            s.gt_text.indexes.long() if known else torch.empty(0, dtype=torch.long)
            for s, known in zip(samples, labelled)
        ]
        padded = nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=blank)
        padded, frames, lengths, forced = (
            on_device(x, device)
            for x in (
                padded,
                num_valid(valid_ratio, count),
                torch.tensor([len(text) for text in texts]),
                torch.tensor(labelled),
            )
        )
        labels = best_alignment(logits.detach(), padded, frames, lengths, blank)
        supervised = labels >= 0
        found = torch.where(forced[:, None], labels, logits.argmax(-1))
        is_character = supervised & (found != blank)
        return DecodedSteps(
            None, logits, is_character, supervised, labels.clamp(min=0), blank=blank
        )
