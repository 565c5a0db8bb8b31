"""Domain discriminators of ASSDA: D(x) = P(x is from the target), as a logit."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmocr_da.arguments import check_count
from mmocr_da.registry import MODELS


@MODELS.register_module()
class DomainDiscriminator(BaseModule):
    """Two fully connected layers, as the paper describes them.

    Shape: ``(M, in_channels) -> (M, 1)``.
    """

    def __init__(self, in_channels: int, hidden_channels: int = 100, init_cfg=None) -> None:
        super().__init__(init_cfg)
        check_count('in_channels', in_channels)
        check_count('hidden_channels', hidden_channels)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@MODELS.register_module()
class PublishedDomainDiscriminator(BaseModule):
    """The head of the paper's released code: two outputs for one label, batch norm, a last ReLU.

    The ReLU keeps every logit at or above 0, so the source loss never falls below ln 2. It is here
    so that its effect can be measured. Shape: ``(M, in_channels) -> (M, 2)``.
    """

    def __init__(self, in_channels: int, hidden_channels: int = 100, init_cfg=None) -> None:
        super().__init__(init_cfg)
        check_count('in_channels', in_channels)
        check_count('hidden_channels', hidden_channels)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, 2)
        )
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> Tensor:
        x, norm = self.layers(x), self.norm
        # A single row has no batch statistics: it is normalised by the running ones.
        batch_statistics = self.training and len(x) > 1
        return F.batch_norm(
            x,
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            batch_statistics,
            norm.momentum,
            norm.eps,
        ).relu()
