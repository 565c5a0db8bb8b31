"""The attention decoder of ASSDA."""

from collections.abc import Sequence

from mmocr.structures import TextRecogDataSample
from torch import Tensor

from ..attention_decoder import AttentionDecoder, State
from .adapter import register_adapter
from .aster import ASTERAdapter, SequenceMemory


@register_adapter(AttentionDecoder)
class AttentionAdapter(ASTERAdapter):
    """Adapter that calls the decoder's own methods for memory, first state and step."""

    def memory(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> SequenceMemory:
        memory = self.decoder.memory(feature_map, sequence)
        return SequenceMemory(memory, self.decoder.proj_feat(memory))

    def initial_state(self, memory: SequenceMemory) -> State:
        return self.decoder.initial_state(memory.sequence)

    def step(
        self, memory: SequenceMemory, state: State, previous: Tensor
    ) -> tuple[Tensor, Tensor, State]:
        return self.decoder.step(*memory, state, previous)
