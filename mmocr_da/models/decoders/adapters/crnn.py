"""MMOCR's decoder of CRNN."""

from mmocr.models.textrecog.decoders import CRNNDecoder
from mmocr.models.textrecog.decoders.base import BaseDecoder
from torch import nn

from .adapter import register_adapter
from .ctc import CTCAdapter


@register_adapter(CRNNDecoder)
class CRNNAdapter(CTCAdapter):
    """Adapter for two BiLSTMs and a linear layer, or a convolution alone."""

    encoder_parts = ('decoder.0', 'decoder.1.rnn')

    @property
    def classifier_path(self) -> str:
        return 'decoder.1.embedding' if self.decoder.rnn_flag else 'decoder'

    def sequence_model(self) -> BaseDecoder:
        """Return the two BiLSTMs; the classifier of the decoder is removed."""
        if not self.decoder.rnn_flag:
            return super().sequence_model()
        self.decoder.decoder[1].embedding = nn.Identity()
        return self.decoder
