"""MMOCR's decoder of RobustScanner, which fuses a hybrid and a position branch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmocr.models.textrecog.decoders import (
    PositionAttentionDecoder,
    RobustScannerFuser,
    SequenceAttentionDecoder,
)
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from .adapter import overrides, register_adapter
from .recording import recorded
from .recurrent import RecurrentAdapter, padded_positions


class BranchMemory(NamedTuple):
    """What both branches attend to.

    Attributes:
        positions: Glimpses of the position branch at all steps, ``(N, T, D)``.
        keys: ``(N, C, L)``.
        values: ``(N, D, L)``.
        padding: ``(N, L)`` bool, positions without attention. (``mask=False`` fails in MMOCR.)
    """

    positions: Tensor
    keys: Tensor
    values: Tensor
    padding: Tensor


@register_adapter(RobustScannerFuser)
class RobustScannerAdapter(RecurrentAdapter):
    """Adapter for two branches; the feature of a character is their fused glimpse.

    The position branch does not depend on the characters, so it runs once for all steps.
    """

    classifier_name = 'prediction'

    def can_step(self) -> bool:
        """Both branches must be MMOCR's own, too."""
        branches = self.decoder.hybrid_decoder, self.decoder.position_decoder
        own = SequenceAttentionDecoder, PositionAttentionDecoder
        return super().can_step() and not any(map(overrides, map(type, branches), own))

    def obstacle(self) -> str:
        if self.is_known() and not self.can_step():
            return 'its branches must be SequenceAttentionDecoder and PositionAttentionDecoder'
        return super().obstacle()

    def memory(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> BranchMemory:
        assert feature_map is not None and sequence is not None
        hybrid, position = self.decoder.hybrid_decoder, self.decoder.position_decoder
        samples = [TextRecogDataSample()] * len(feature_map) if samples is None else samples
        padding = padded_positions(sequence, samples)
        assert padding is not None
        values = sequence if hybrid.encode_value else feature_map
        positions = _glimpses(position, feature_map, sequence, padding)
        return BranchMemory(positions, sequence.flatten(2), values.flatten(2), padding)

    def initial_state(self, memory: BranchMemory) -> Any:
        """The number of the step, and the state of the LSTM."""
        return 0, None

    def step(self, memory: BranchMemory, state: Any, previous: Tensor) -> tuple[Tensor, None, Any]:
        """Repeat a step of ``forward_test`` of the fuser and of its hybrid branch."""
        decoder, hybrid = self.decoder, self.decoder.hybrid_decoder
        k, state = state
        query, state = hybrid.sequence_layer(hybrid.embedding(previous)[:, None], state)
        glimpse = hybrid.attention_layer(
            query.transpose(1, 2), memory.keys, memory.values, memory.padding
        )
        fused = torch.cat([glimpse.squeeze(2), memory.positions[:, k]], decoder.dim)
        fused = decoder.glu_layer(decoder.linear_layer(fused))
        return decoder.prediction(fused), None, (k + 1, state)

    def attention_weights(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> tuple[Tensor, Tensor]:
        """Those of the hybrid branch, whose attention follows the characters."""
        layer = self.decoder.hybrid_decoder.attention_layer

        def weigh(inputs: tuple[Tensor, ...], _: Tensor) -> Tensor:
            query, keys, _, padding = inputs
            scores = query.transpose(1, 2) @ keys * layer.scale
            return scores.masked_fill(padding[:, None], float('-inf')).softmax(-1)

        with recorded(layer, weigh) as weights:
            _, logits = self.run(feature_map, sequence, samples)
        return logits.argmax(-1), torch.cat(weights, 1)


def _glimpses(
    branch: PositionAttentionDecoder, feature_map: Tensor, sequence: Tensor, padding: Tensor
) -> Tensor:
    """What the position branch attends to at each step, ``(N, T, D)``: its ``forward_train``.

    That one loops over data samples to find the padding.
    """
    keys = branch.position_aware_module(sequence).flatten(2)
    values = sequence if branch.encode_value else feature_map
    positions = branch.embedding.weight[: branch.max_seq_len].t()
    queries = positions.expand(sequence.size(0), -1, -1)
    glimpses: Tensor = branch.attention_layer(queries, keys, values.flatten(2), padding)
    glimpses = glimpses.transpose(1, 2)
    return glimpses if branch.return_feature else branch.prediction(glimpses)
