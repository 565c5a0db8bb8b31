"""MMOCR's decoder of SVTR."""

from mmocr.models.textrecog.decoders import SVTRDecoder

from .adapter import register_adapter
from .ctc import CTCAdapter


@register_adapter(SVTRDecoder)
class SVTRAdapter(CTCAdapter):
    """Adapter for a linear layer for each frame."""

    classifier_name = 'decoder'
