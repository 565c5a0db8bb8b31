"""MMOCR's transformer decoder of NRTR and SATRN."""

from collections.abc import Sequence
from typing import Any

from mmocr.models.textrecog.decoders import NRTRDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from ...valid_ratio import padded_columns
from .adapter import register_adapter
from .transformer import Layer, Projection, TransformerAdapter, stacked


@register_adapter(NRTRDecoder)
class NRTRAdapter(TransformerAdapter):
    """Adapter for a decoder that never attends to a step that is fed the padding."""

    classifier_name = 'classifier'

    def can_step(self) -> bool:
        """Its layers must normalize before each part, as MMOCR's do."""
        layers = self.decoder.layer_stack
        return super().can_step() and all(x.operation_order[0] == 'norm' for x in layers)

    def obstacle(self) -> str:
        if self.is_known() and not self.can_step():
            return 'its layers must have the operation_order that starts with norm'
        return super().obstacle()

    def layers(self) -> list[Layer]:
        return [_parts(layer) for layer in self.decoder.layer_stack]

    def attended(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> tuple[Tensor, Tensor | None]:
        assert sequence is not None
        if samples is None:
            return sequence, None
        return sequence, ~padded_columns(samples, sequence.size(1), sequence.device)

    def embed(self, previous: Tensor, k: int) -> Tensor:
        decoder = self.decoder
        return decoder.trg_word_emb(previous) + decoder.position_enc.position_table[:, k]

    def can_be_attended(self, previous: Tensor) -> Tensor:
        return previous != self.decoder.padding_idx

    def last_attention(self) -> nn.Module:
        module: nn.Module = self.decoder.layer_stack[-1].enc_attn.attention
        return module

    @property
    def final_norm(self) -> nn.Module:
        return self.decoder.layer_norm


def _parts(layer: Any) -> Layer:
    own, other = layer.self_attn, layer.enc_attn
    return Layer(
        norms=(layer.norm1, layer.norm2, layer.norm3),
        query_key_value=stacked(own.linear_q, own.linear_k, own.linear_v),
        self_output=own.fc,
        query=Projection(other.linear_q.weight, other.linear_q.bias),
        key_value=stacked(other.linear_k, other.linear_v),
        output=other.fc,
        feed=lambda y, x: x + layer.mlp(y),
        heads=own.n_head,
    )
