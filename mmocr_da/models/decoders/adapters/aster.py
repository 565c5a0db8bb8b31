"""MMOCR's decoder of ASTER."""

import torch
from mmocr.models.textrecog.decoders import ASTERDecoder
from torch import Tensor

from ..attention_decoder import attend
from .adapter import register_adapter
from .recurrent import RecurrentAdapter


@register_adapter(ASTERDecoder)
class ASTERAdapter(RecurrentAdapter):
    """Adapter for a GRU with additive attention over the encoder's sequence."""

    def memory(self, feature_map: Tensor, sequence: Tensor | None) -> Tensor:
        assert sequence is not None  # MMOCR's decoder needs an encoder
        return sequence

    def initial_state(self, memory: Tensor) -> Tensor:
        return memory.new_zeros(1, memory.size(0), self.decoder.hidden_size)

    def step(
        self, memory: Tensor, projected: Tensor, state: Tensor, previous: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Repeat ``ASTERDecoder._attention``, which computes the context but does not return it."""
        decoder = self.decoder
        context = attend(decoder, memory, projected, state[0])
        fed = torch.cat([decoder.embedding(previous), context], 1).unsqueeze(1)
        output, state = decoder.gru(fed, state)
        return decoder.fc(output.squeeze(1)), context, state
