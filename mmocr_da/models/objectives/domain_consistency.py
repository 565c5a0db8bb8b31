"""Consistency of image and instances (Chen et al., "Domain Adaptive Faster R-CNN", CVPR 2018)."""

from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from mmocr_da.arguments import check_number, warn_unused
from mmocr_da.registry import MODELS

from ..distributed import sum_per_rank
from ..schedules import Schedule
from .detection_features import DetectionFeatures
from .image_alignment import ImageAlignment
from .instance_alignment import InstanceAlignment
from .objective import Objective


@MODELS.register_module()
class DomainConsistency(Objective):
    """Lets the discriminators of an image and of its proposals agree on the domain.

    With ``p`` of the target, the mean over the positions of an image on one side, and that of each
    of its proposals on the other (``L_cst`` of Chen et al., section 4.2)::

        loss = mean |mean_uv p_image(u, v) - p_proposal|

    over the proposals of an image, then over images, then over the two domains. It uses the
    discriminators of :class:`ImageAlignment` and :class:`InstanceAlignment`, which the detector
    needs beside it; of several feature maps, the mean counts. Both sides minimize it: the
    discriminators with weight 1, the detector with lambda, and no gradient is reversed.

    It differs from the paper in the means, where the paper has a sum.

    Args:
        weight: lambda, 0.1 in the paper.
        schedule: How lambda follows the progress of training, see :class:`DomainAdversary`.
    """

    adapts = 'detector'
    name = 'consistency'

    def __init__(self, weight: float = 0.1, schedule: str = 'constant') -> None:
        super().__init__()
        check_number('weight', weight, least=0)
        if weight == 0:
            warn_unused('weight', weight, 'DomainConsistency trains the discriminators alone')
        self.agreement = Schedule(schedule, weight)
        # Not its own children: they are in the checkpoint as objectives of the detector.
        self._images: tuple[ImageAlignment, ...] = ()
        self._instances: tuple[InstanceAlignment, ...] = ()

    def attach(self, detector: nn.Module) -> None:
        """Find the discriminators.

        Raises:
            ValueError: If the detector lacks one of them.
        """
        others: Any = getattr(detector, 'objectives')
        self._images = tuple(o for o in others.values() if isinstance(o, ImageAlignment))
        self._instances = tuple(o for o in others.values() if isinstance(o, InstanceAlignment))
        if not self._images or not self._instances:
            raise ValueError(
                'DomainConsistency compares the discriminators of ImageAlignment and of '
                f'InstanceAlignment, got the objectives {sorted(others)}: add both'
            )

    # An objective of detectors gets DetectionFeatures, one of recognizers gets DomainFeatures.
    def forward(  # type: ignore[override]
        self, source: DetectionFeatures, target: DetectionFeatures
    ) -> dict[str, Tensor]:
        """Compute the loss, and log values by name."""
        strength = self.agreement.now()
        errors = [self._error(domain, strength) for domain in (source, target)]
        loss = 0.5 * reduce(torch.add, errors)
        strengths = loss.detach().float().new_full((), strength)
        return self.named({'loss': loss, 'lambda': strengths})

    def _error(self, domain: DetectionFeatures, strength: float) -> Tensor:
        # Minus lambda, so that the gradient is not reversed.
        of_images = [_probabilities(o, domain, -strength) for o in self._images]
        image = reduce(torch.add, [(p * weight).sum(1) for p, weight in of_images])
        (instances,) = self._instances
        p, weight = _probabilities(instances, domain, -strength)
        _, index = domain.instances(instances.proposals)
        error = (image[index] / len(of_images) - p.flatten()).abs() * weight.flatten()
        return error.sum() / sum_per_rank(weight).clamp(min=1e-12) + 0 * image.sum()


def _probabilities(
    alignment: ImageAlignment | InstanceAlignment, domain: DetectionFeatures, strength: float
) -> tuple[Tensor, Tensor]:
    # Their rows are of DetectionFeatures, those of their base class of DomainFeatures.
    return alignment.probabilities(domain, strength)  # type: ignore[arg-type]
