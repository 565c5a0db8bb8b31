"""CTC decoders: a class per frame, blanks between characters."""

from collections.abc import Sequence
from itertools import groupby

import torch
from mmocr.models.textrecog.module_losses import CTCModuleLoss
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.device import on_device

from ...valid_ratio import num_valid, valid_ratios, valid_steps
from ..character_features import AttendedSteps, DecodedSteps, DrawnTexts
from ..ctc_alignment import best_alignment, text_log_likelihood
from ..drawing import RandomDraws
from .adapter import DecoderAdapter, in_groups


class CTCAdapter(DecoderAdapter):
    """Base of adapters for CTC decoders."""

    has_characters = True

    def loss_fits(self) -> bool:
        """Whether the loss is CTC's."""
        return isinstance(self.decoder.module_loss, CTCModuleLoss)

    @property
    def loss_names(self) -> tuple[str, ...]:
        return ('loss_ctc',)

    def check_drawing(self, purpose: str) -> None:
        """See :meth:`DecoderAdapter.check_drawing`."""
        if not self.loss_fits():
            raise ValueError(
                f'{purpose} needs the loss of CTC, CTCModuleLoss, to score the texts of '
                f'{self.name}, got {type(self.decoder.module_loss).__name__}'
            )

    def draw_texts(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
        count: int,
    ) -> DrawnTexts:
        """See :meth:`DecoderAdapter.draw_texts`; a class is drawn for each frame.

        A text is what remains of them, and its probability the sum over all paths of frames that
        give it, not that of the drawn path: its gradient varies less.
        """
        logits = self.decoder.forward_train(feature_map, sequence).repeat_interleave(count, 0)
        blank = self.decoder.dictionary.padding_idx
        frames = num_valid(valid_ratios(samples), logits.size(1)).repeat_interleave(count)
        words = [
            tuple(key for key, _ in groupby(path[:length]) if key != blank)
            for path, length in zip(draws.classes(logits).tolist(), frames.tolist())
        ]
        return DrawnTexts(
            in_groups(words, count),
            text_log_likelihood(logits, words, frames, blank).unflatten(0, (-1, count)),
        )

    def attention(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> AttendedSteps:
        """See :meth:`DecoderAdapter.attention`; a step per frame, the first one of a character."""
        probabilities = self.probabilities(feature_map, sequence, samples)
        blank = self.decoder.dictionary.padding_idx
        classes = probabilities.argmax(-1)
        valid = valid_steps(valid_ratios(samples), classes.size(1)).to(classes.device)
        shown = valid & (classes != blank)
        begins = torch.ones_like(shown)
        begins[:, 1:] = classes[:, 1:] != classes[:, :-1]
        run = begins.cumsum(1)
        same = (run[:, :, None] == run[:, None]) & shown[:, None]
        weights = probabilities.gather(2, classes[:, None].expand(-1, classes.size(1), -1)).mT
        return AttendedSteps(classes, shown & begins, torch.where(same, weights, 0))

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
