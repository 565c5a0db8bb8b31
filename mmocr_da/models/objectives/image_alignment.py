"""Image-level alignment of detectors (Chen et al., "Domain Adaptive Faster R-CNN", CVPR 2018)."""

from typing import Any

from torch import Tensor, nn

from mmocr_da.arguments import check_count
from mmocr_da.registry import MODELS

from .detection_features import PARTS, DetectionFeatures
from .domain_adversary import DomainAdversary, mean_per_image


@MODELS.register_module()
class ImageAlignment(DomainAdversary):
    """Makes each position of a detector's feature map look the same in both domains.

    A discriminator judges the features of every position by themselves, like a convolution of size
    1 (the image-level adaptation of Chen et al.)::

        loss = (mean_source -log(1 - D(x)) + mean_target -log D(x)) / 2

    It differs from the paper in the means, over the positions of an image and then over images,
    where the paper has a sum: the weight does not depend on the size of images. Positions of
    padding do not count; padding is what is outside ``img_shape`` of a data sample. The step
    ``Pad`` of a pipeline sets ``img_shape`` to the padded size, so its padding counts as image.

    The gradient reaches what is before the map. Each level is an objective of its own::

        objectives=[
            dict(type='mmocr_da.ImageAlignment', part='backbone', level=i, in_channels=channels)
            for i, channels in enumerate((64, 128, 256, 512))
        ]

    Args:
        in_channels: Channels of the feature map.
        part: Whose map, ``'neck'`` or ``'backbone'``.
        level: Which of its maps, from 0. The necks of DBNet, PSENet, TextSnake and DRRG have one.
        weight: lambda, 0.1 in the paper.
        schedule: See :class:`DomainAdversary`; constant in the paper.
        discriminator: See :class:`DomainAdversary`. The paper's has ``hidden_channels=512``.
    """

    adapts = 'detector'

    def __init__(
        self,
        in_channels: int,
        part: str = 'neck',
        level: int = 0,
        weight: float = 0.1,
        schedule: str = 'constant',
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, weight=weight, schedule=schedule, **kwargs)
        if part not in PARTS:
            raise ValueError(f"part must be 'backbone' or 'neck', got {part!r}")
        check_count('level', level, least=0)
        self.part = part
        self.level = level
        self.name = f'image_{part}_{level}'

    def attach(self, detector: nn.Module) -> None:
        """Check that the detector has the part.

        Raises:
            ValueError: If it has not.
        """
        if getattr(getattr(detector, 'detector'), self.part, None) is None:
            raise ValueError(
                f'ImageAlignment(part={self.part!r}) needs a detector with a {self.part}, got one '
                f'without; set part={"backbone" if self.part == "neck" else "neck"!r}'
            )

    # An objective of detectors gets DetectionFeatures, one of recognizers gets DomainFeatures.
    def rows(  # type: ignore[override]
        self, domain: DetectionFeatures
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See :meth:`DomainAdversary.rows`; a row for each position of the map."""
        feature_map = domain.level(self.part, self.level)
        inside = domain.valid_positions(feature_map).flatten(1)
        return feature_map.flatten(2).transpose(1, 2), mean_per_image(inside), {}
