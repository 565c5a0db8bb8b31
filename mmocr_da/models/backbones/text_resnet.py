"""The ResNet encoder of ASSDA (Zhang et al., Table I)."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmocr.models.textrecog.backbones import ResNet
from torch import Tensor, nn

from mmocr_da.arguments import check_list
from mmocr_da.registry import MODELS


@MODELS.register_module()
class TextResNet(ResNet):
    """MMOCR's ``ResNet``, with more convolutions after the last stage.

    MMOCR's stage plugins keep the number of channels; the last layer of Table I goes from 512 to
    64. All other layers of the table are MMOCR's stages and plugins.

    Args:
        tail: Settings of the convolutions after the last stage, each followed by batch norm and
            ReLU: ``out_channels``, ``kernel_size``, ``stride``, ``padding`` as in ``nn.Conv2d``.
    """

    def __init__(self, *args: Any, tail: Sequence[dict[str, Any]] = (), **kwargs: Any) -> None:
        check_list('tail', tail, dict, 'configs')
        super().__init__(*args, **kwargs)
        if self.out_indices is not None and tail:
            raise ValueError(
                'tail works on the last stage alone, it cannot be combined with '
                f'out_indices={self.out_indices}'
            )
        layers, channels = [], self.inplanes
        for cfg in tail:
            layers.append(ConvModule(channels, bias=False, norm_cfg=dict(type='BN'), **cfg))
            channels = cfg['out_channels']
        self.tail = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the feature map, ``(N, in_channels, H, W) -> (N, C, H', W')``."""
        return self.tail(super().forward(x))
