"""MMOCR's decoders of SAR."""

from mmocr.models.textrecog.decoders import ParallelSARDecoder, SequentialSARDecoder

from .adapter import DecoderAdapter, register_adapter


@register_adapter(ParallelSARDecoder, SequentialSARDecoder)
class SARAdapter(DecoderAdapter):
    """Greedy decoding in two passes, see :meth:`DecoderAdapter.predict`."""

    classifier_name = 'prediction'
