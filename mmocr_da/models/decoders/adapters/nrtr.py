"""MMOCR's transformer decoder of NRTR and SATRN."""

from mmocr.models.textrecog.decoders import NRTRDecoder

from .adapter import DecoderAdapter, register_adapter


@register_adapter(NRTRDecoder)
class NRTRAdapter(DecoderAdapter):
    """Greedy decoding in two passes, see :meth:`DecoderAdapter.predict`."""

    classifier_name = 'classifier'
