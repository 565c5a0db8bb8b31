"""MMOCR's transformer decoder of MASTER."""

from mmocr.models.textrecog.decoders import MasterDecoder

from .adapter import DecoderAdapter, register_adapter


@register_adapter(MasterDecoder)
class MasterAdapter(DecoderAdapter):
    """Greedy decoding in two passes, see :meth:`DecoderAdapter.predict`."""

    classifier_name = 'cls'
