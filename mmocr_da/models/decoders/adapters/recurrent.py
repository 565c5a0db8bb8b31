"""Recurrent attention decoders: labelled and unlabelled rows share each step."""

from collections.abc import Sequence
from typing import Any

import torch
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.device import on_device

from ...valid_ratio import padded_columns
from ..character_features import DecodedSteps
from ..drawing import RandomDraws
from .steps import StepAdapter, expected_steps
from .tokens import label_tokens


class RecurrentAdapter(StepAdapter):
    """Base of adapters for recurrent decoders, which decode step by step with gradients, too."""

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        device = feature_map.device
        tokens, lengths = label_tokens(self.decoder, samples, labelled, device)
        steps = self.needed_steps(lengths)
        lengths, forced = (on_device(x, device) for x in (lengths, torch.tensor(labelled)))
        contexts, logits = self.run(
            feature_map,
            sequence,
            samples,
            lambda k, predicted: torch.where(forced, tokens[:, k], predicted),
            steps,
            steps if any(labelled) else None,
            forced,
            steps if all(labelled) else None,
        )
        return self.steps_of(contexts, logits, tokens, lengths, forced)

    def predict(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> Tensor:
        """Decode greedily in one pass, which ends with the last prediction.

        See :meth:`DecoderAdapter.predict`.
        """
        if not self.can_step():
            return super().predict(feature_map, sequence, samples)
        return self.run(feature_map, sequence, samples, expected=expected_steps(samples))[1]

    def draw_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
    ) -> tuple[Tensor, Tensor]:
        return self.draw_by_steps(feature_map, sequence, samples, draws)

    def mixed_output(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        label_probability: float,
        draws: RandomDraws,
    ) -> Any:
        device = feature_map.device
        tokens, lengths = label_tokens(self.decoder, samples, [True] * len(samples), device)
        is_label = draws.events(tokens.shape, label_probability, device)
        steps = self.needed_steps(lengths)
        _, logits = self.run(
            feature_map,
            sequence,
            samples,
            lambda k, own: torch.where(is_label[:, k], tokens[:, k], own),
            steps,
            steps,
            torch.ones_like(is_label[:, 0]),
            steps,
            draws.classes,
        )
        output = self.training_output(logits)
        return logits if output is None else output


def padded_positions(
    feature_map: Tensor, samples: Sequence[TextRecogDataSample] | None
) -> Tensor | None:
    """Find the positions of a map ``(N, C, H, W)`` that MMOCR's decoders mask, ``(N, H * W)`` bool.

    They are the columns beyond ``ceil(W * valid_ratio)``, as in SAR and RobustScanner. None without
    samples.
    """
    if samples is None:
        return None
    n, _, h, w = feature_map.shape
    columns = padded_columns(samples, w, feature_map.device)
    return columns[:, None].expand(n, h, w).flatten(1)
