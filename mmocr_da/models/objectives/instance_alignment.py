"""Instance-level alignment (Chen et al., "Domain Adaptive Faster R-CNN", CVPR 2018)."""

from typing import Any

import torch
from torch import Tensor, nn

from mmocr_da.arguments import check_count
from mmocr_da.registry import MODELS

from .detection_features import DetectionFeatures
from .domain_adversary import DomainAdversary


@MODELS.register_module()
class InstanceAlignment(DomainAdversary):
    """Makes the regions that a two-stage detector proposes look the same in both domains.

    A discriminator judges the features of each proposal by themselves, those that the head
    classifies (``L_ins`` of Chen et al., section 4.2)::

        loss = (mean_source -log(1 - D(x)) + mean_target -log D(x)) / 2

    The proposals are those of the detector's own region proposal network, the best of each image,
    in both domains alike: nothing is chosen by labels. The gradient reaches the layers that the
    classes and the boxes share, the neck and the backbone, and not the coordinates of proposals.

    It differs from the paper in the means, over the proposals of an image and then over images,
    where the paper has a sum, and in the proposals of the source, which the paper samples by their
    labels. An image without a proposal does not count.

    Args:
        in_channels: Width of the features, ``fc_out_channels`` of MMDetection's heads.
        proposals: Number of proposals per image.
        weight: lambda, 0.1 in the paper.
        schedule: See :class:`DomainAdversary`; constant in the paper.
        discriminator: See :class:`DomainAdversary`. The paper's has ``hidden_channels=1024``.
    """

    adapts = 'detector'
    name = 'instance'

    def __init__(
        self,
        in_channels: int = 1024,
        proposals: int = 128,
        weight: float = 0.1,
        schedule: str = 'constant',
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, weight=weight, schedule=schedule, **kwargs)
        check_count('proposals', proposals)
        self.proposals = proposals

    def attach(self, detector: nn.Module) -> None:
        """Check that the detector has proposals, and features of this width.

        Raises:
            ValueError: If it has not.
        """
        parts: Any = getattr(detector, 'detector')
        head = getattr(getattr(parts, 'roi_head', None), 'bbox_head', None)
        classifier = getattr(head, 'fc_cls', None)
        if not hasattr(parts, 'rpn_head') or classifier is None:
            raise ValueError(
                'InstanceAlignment needs a two-stage detector with a rpn_head and one bbox_head '
                'that classifies, such as Mask R-CNN or RRPN, got a '
                f'{type(parts).__name__}; align its feature maps by ImageAlignment'
            )
        self._check_width(classifier.in_features)

    # An objective of detectors gets DetectionFeatures, one of recognizers gets DomainFeatures.
    def rows(  # type: ignore[override]
        self, domain: DetectionFeatures
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See :meth:`DomainAdversary.rows`; a row for each proposal of all images together."""
        features, image = domain.instances(self.proposals)
        counts = torch.bincount(image, minlength=max(len(domain.samples), 1))
        weights = 1 / counts[image].float()
        return features[None], weights[None], dict(proposals=counts.float().mean())
