"""The domain discriminator of ASSDA: D(x) = P(x is from the target), as a logit."""

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmocr_da.arguments import check_count
from mmocr_da.registry import MODELS


@MODELS.register_module()
class DomainDiscriminator(BaseModule):
    """Two fully connected layers, as the paper describes them.

    Shape: ``(M, in_channels) -> (M, 1)``.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 100,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_count('in_channels', in_channels)
        check_count('hidden_channels', hidden_channels)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
