"""MMOCR's decoder of ASTER."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmocr.models.textrecog.decoders import ASTERDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from ..attention_decoder import attend
from .adapter import register_adapter
from .recording import recorded
from .recurrent import RecurrentAdapter


class SequenceMemory(NamedTuple):
    """A sequence that is attended to, ``(N, L, D)``, and its projection, ``(N, L, A)``."""

    sequence: Tensor
    projected: Tensor


@register_adapter(ASTERDecoder)
class ASTERAdapter(RecurrentAdapter):
    """Adapter for a GRU with additive attention over the encoder's sequence."""

    classifier_name = 'fc'
    trains_by_steps = True

    def feature_channels(self, character_feature: str) -> int:
        if character_feature == 'context':
            return self.decoder.proj_feat.in_features
        return super().feature_channels(character_feature)

    def memory(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> SequenceMemory:
        assert sequence is not None  # MMOCR's decoder needs an encoder
        return SequenceMemory(sequence, self.decoder.proj_feat(sequence))

    def initial_state(self, memory: SequenceMemory) -> Any:
        return memory.sequence.new_zeros(1, memory.sequence.size(0), self.decoder.hidden_size)

    def step(
        self, memory: SequenceMemory, state: Any, previous: Tensor
    ) -> tuple[Tensor, Tensor, Any]:
        """Repeat ``ASTERDecoder._attention``, which computes the context but does not return it."""
        decoder = self.decoder
        context = attend(decoder, memory.sequence, memory.projected, state[0])
        fed = torch.cat([decoder.embedding(previous), context], 1).unsqueeze(1)
        output, state = decoder.gru(fed, state)
        return decoder.fc(output.squeeze(1)), context, state

    def attention_weights(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> tuple[Tensor, Tensor]:
        with recorded(self.decoder.proj_sum, lambda _, scores: scores.squeeze(-1)) as scores:
            _, logits = self.run(feature_map, sequence, samples)
        return logits.argmax(-1), torch.stack(scores, 1).softmax(-1)
