"""MMOCR's decoders of ABINet, which predict all characters in parallel."""

from collections.abc import Sequence
from typing import Any

from mmocr.models.textrecog.decoders import ABIFuser, ABIVisionDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from .adapter import DecoderAdapter, register_adapter


@register_adapter(ABIVisionDecoder)
class ABIVisionAdapter(DecoderAdapter):
    """Adapter for the vision model alone, which predicts in one pass without labels."""

    classifier_name = 'cls'

    def predict(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> Tensor:
        """See :meth:`DecoderAdapter.predict`."""
        return self.final_logits(self.decoder.forward_train(feature_map, sequence, samples))

    def final_logits(self, output: Any) -> Tensor:
        """See :meth:`DecoderAdapter.final_logits`."""
        logits: Tensor = output['logits']
        return logits


@register_adapter(ABIFuser)
class ABIFuserAdapter(DecoderAdapter):
    """Adapter for the fuser of vision and, if the decoder has one, a correcting language model."""

    @property
    def classifier_path(self) -> str:
        return 'vision_decoder.cls' if self.decoder.language_decoder is None else 'cls'

    @property
    def loss_names(self) -> tuple[str, ...]:
        names = [f'loss_{name}' for name in ('visual', 'lang', 'fusion')]
        return tuple(names if self.decoder.language_decoder is not None else names[:1])

    def predict(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> Tensor:
        """Logits of the last correction, see :meth:`DecoderAdapter.predict`."""
        return self.final_logits(self.decoder.forward_train(feature_map, sequence, samples))

    def final_logits(self, output: Any) -> Tensor:
        """Logits of the last correction, see :meth:`DecoderAdapter.final_logits`."""
        last = output['out_fusers'][-1] if output['out_fusers'] else output['out_vis']
        logits: Tensor = last['logits']
        return logits
