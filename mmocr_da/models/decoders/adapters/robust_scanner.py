"""MMOCR's decoder of RobustScanner, which fuses a hybrid and a position branch."""

from mmocr.models.textrecog.decoders import RobustScannerFuser

from .adapter import DecoderAdapter, register_adapter


@register_adapter(RobustScannerFuser)
class RobustScannerAdapter(DecoderAdapter):
    """Greedy decoding in two passes, see :meth:`DecoderAdapter.predict`.

    RobustScanner has gradients only in training mode.
    """

    classifier_name = 'prediction'
