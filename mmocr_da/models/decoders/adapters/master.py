"""MMOCR's transformer decoder of MASTER."""

from collections.abc import Sequence
from typing import Any

import torch
from mmocr.models.textrecog.decoders import MasterDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.compat import no_grad

from ...freezing import evaluating
from .adapter import register_adapter
from .transformer import Layer, Projection, TransformerAdapter


@register_adapter(MasterDecoder)
class MasterAdapter(TransformerAdapter):
    """Adapter for a decoder that attends to the feature map, padding included.

    MMOCR masks the padding as a query and not as a key: a step that is fed the padding attends to
    all steps, later ones too. So if a text has the padding before its end, which only a recognizer
    predicts that was hardly trained, MMOCR's own loop decodes the batch.
    """

    classifier_name = 'cls'

    def layers(self) -> list[Layer]:
        return [_parts(layer) for layer in self.decoder.decoder_layers]

    def attended(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> tuple[Tensor, Tensor | None]:
        assert feature_map is not None
        if feature_map.dim() > 3:
            feature_map = feature_map.flatten(2).transpose(1, 2)
        return self.decoder.feat_positional_encoding(feature_map), None

    def embed(self, previous: Tensor, k: int) -> Tensor:
        decoder = self.decoder
        return decoder.embedding(previous) + decoder.positional_encoding.position_table[:, k]

    def can_be_attended(self, previous: Tensor) -> Tensor:
        return torch.ones_like(previous, dtype=torch.bool)

    def last_attention(self) -> nn.Module:
        module: nn.Module = self.decoder.decoder_layers[-1].attentions[1].attn
        return module

    @property
    def final_norm(self) -> nn.Module:
        return self.decoder.norm

    def greedy(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
        expected: int | None = None,
    ) -> Tensor:
        logits = super().greedy(feature_map, sequence, samples, expected)
        predicted = logits.argmax(-1)
        before_end = (predicted == self.decoder.dictionary.end_idx).cumsum(1) == 0
        if not bool((before_end & (predicted == self.decoder.PAD)).any()):
            return logits
        with no_grad(), evaluating(self.decoder):
            decode = type(self.decoder).forward_test  # not that of FastDecodingHook
            return decode(self.decoder, feature_map, sequence, samples).log()


def _parts(layer: Any) -> Layer:
    own, other = (attention.attn for attention in layer.attentions)
    width = other.embed_dim
    weights = other.in_proj_weight.split([width, 2 * width])
    biases = other.in_proj_bias.split([width, 2 * width])
    query, key_value = map(Projection, weights, biases)
    return Layer(
        norms=layer.norms,
        query_key_value=Projection(own.in_proj_weight, own.in_proj_bias),
        self_output=own.out_proj,
        query=query,
        key_value=key_value,
        output=other.out_proj,
        feed=layer.ffns[0],
        heads=own.num_heads,
    )
