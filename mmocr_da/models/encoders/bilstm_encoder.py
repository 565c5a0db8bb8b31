"""The context encoder of ASSDA: BiLSTMs over the grid sequence of eq. 1."""

from collections.abc import Sequence
from typing import Any

from mmocr.models.textrecog.encoders.base import BaseEncoder
from mmocr.models.textrecog.layers.lstm_layer import BidirectionalLSTM
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.arguments import check_count, check_flag
from mmocr_da.registry import MODELS


@MODELS.register_module()
class BiLSTMEncoder(BaseEncoder):
    """A stack of bidirectional LSTMs with linear maps, for feature maps of any height.

    A map higher than 1 becomes a sequence column by column, from top to bottom within each, so
    that neighbours in the sequence are neighbours in the image. (MMOCR's ``ASTEREncoder`` needs
    maps of height 1 and has no linear map.)

    Args:
        num_layers: Without layers the sequence is the map's columns, as they are.
        as_map: Return the sequence as a map of height 1, which MMOCR's ``SVTRDecoder`` takes: with
            it, the encoder feeds a CTC classifier.

    Shape: ``(N, in_channels, H, W) -> (N, W * H, out_channels)``, or as a map
    ``(N, out_channels, 1, W * H)``.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_size: int = 256,
        out_channels: int = 256,
        num_layers: int = 2,
        as_map: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        widths = dict(in_channels=in_channels, hidden_size=hidden_size, out_channels=out_channels)
        for name, width in widths.items():
            check_count(name, width)
        check_count('num_layers', num_layers, least=0)
        check_flag('as_map', as_map)
        self.as_map = as_map
        channels = [in_channels] + [out_channels] * num_layers
        self.layers = nn.Sequential(
            *(BidirectionalLSTM(a, hidden_size, b) for a, b in zip(channels, channels[1:]))
        )

    def forward(
        self, feat: Tensor, data_samples: Sequence[TextRecogDataSample] | None = None
    ) -> Tensor:
        sequence = feat.permute(3, 2, 0, 1).flatten(0, 1)  # (W * H, N, C)
        sequence = self.layers(sequence)
        if self.as_map:
            return sequence.permute(1, 2, 0)[:, :, None].contiguous()
        return sequence.transpose(0, 1).contiguous()
