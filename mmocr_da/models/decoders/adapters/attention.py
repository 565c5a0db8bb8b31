"""The attention decoder of ASSDA."""

from torch import Tensor

from ..attention_decoder import AttentionDecoder, State
from .adapter import register_adapter
from .recurrent import RecurrentAdapter


@register_adapter(AttentionDecoder)
class AttentionAdapter(RecurrentAdapter):
    """Adapter that calls the decoder's own methods for memory, first state and step."""

    def memory(self, feature_map: Tensor, sequence: Tensor | None) -> Tensor:
        return self.decoder.memory(feature_map, sequence)

    def initial_state(self, memory: Tensor) -> State:
        return self.decoder.initial_state(memory)

    def step(
        self, memory: Tensor, projected: Tensor, state: State, previous: Tensor
    ) -> tuple[Tensor, Tensor, State]:
        return self.decoder.step(memory, projected, state, previous)
