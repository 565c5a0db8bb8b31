"""The classifier of isolated characters."""

from collections.abc import Sequence

import torch
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.device import on_device

from ..character_decoder import CharacterDecoder
from ..character_features import DecodedSteps
from .adapter import DecoderAdapter, register_adapter


@register_adapter(CharacterDecoder)
class CharacterAdapter(DecoderAdapter):
    """Adapter for a decoder with one step per image."""

    has_characters = True
    classifier_name = 'fc'

    def loss_fits(self) -> bool:
        """Return True: any loss fits a single step."""
        return self.decoder.module_loss is not None

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        # The decoder checks the labels that it is given.
        logits = self.decoder.forward_train(
            feature_map, sequence, [s for s, known in zip(samples, labelled) if known]
        )
        classes = [
            [int(s.gt_text.indexes[0]) if known else 0] for s, known in zip(samples, labelled)
        ]
        labels, known = (
            on_device(torch.tensor(x), logits.device)
            for x in (classes, [[known] for known in labelled])
        )
        every_step = torch.ones_like(labels, dtype=torch.bool)
        ignored = known & (labels == self.decoder.module_loss.ignore_index)
        return DecodedSteps(None, logits, every_step, ~ignored, labels)
