"""Losses that compare rotated boxes as Gaussians.

The mean is the centre, and each side is two standard deviations long. Lengths are in units of the
label's size, so that small text counts as much as large text.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmocr_da.arguments import check_number
from mmocr_da.device import constant
from mmocr_da.registry import MODELS
from mmocr_da.structures import rotate

from .rotated_box_loss import RotatedBoxLoss

EPS = 1e-7


def as_gaussian(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Convert boxes ``(N, 5)`` to Gaussians.

    The eigenvalues of a covariance are the squares of half the sides. It is computed entry by
    entry, because GPUs may compute products of matrices in reduced precision.

    Returns:
        Centres ``(N, 2)`` and covariances ``(N, 3)``, with the entries xx, xy, yy.
    """
    cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
    w, h = (boxes[:, 2:4].square() / 4).unbind(1)
    return boxes[:, :2], torch.stack(
        [w * cos * cos + h * sin * sin, (w - h) * cos * sin, w * sin * sin + h * cos * cos], 1
    )


def in_units_of_label(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Convert both boxes to the label's centre and units of the root of its area."""
    unit = (target[:, 2] * target[:, 3]).clamp(min=0).sqrt().clamp(min=EPS)[:, None]
    pred, target = (
        torch.cat([(b[:, :2] - target[:, :2]) / unit, b[:, 2:4] / unit, b[:, 4:]], 1)
        for b in (pred, target)
    )
    return pred, target


def root_of_det(covariance: Tensor) -> Tensor:
    """Compute the root of the determinant, ``(N, 3) -> (N,)``, with a finite derivative at 0."""
    xx, xy, yy = covariance.unbind(1)
    return ((xx * yy - xy * xy).clamp(min=0) + EPS**2).sqrt()


@MODELS.register_module()
class KFIoULoss(RotatedBoxLoss):
    """KFIoU: the overlap of two Gaussians by a Kalman filter (Yang et al., ICLR 2023).

    The loss is ``1 - 3 KFIoU``, because KFIoU is 1/3 for equal boxes, plus smooth-L1 of the
    distance of the centres in units of the label's sides, because KFIoU does not depend on the
    centres (arXiv:2201.12558, which compares encoded centres).

    Args:
        beta: ``beta`` of smooth-L1.
        kwargs: See :class:`RotatedBoxLoss`.
    """

    def __init__(self, beta: float = 1 / 9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_number('beta', beta, above=0)
        self.beta = beta

    def rows(self, pred: Tensor, target: Tensor) -> Tensor:
        pred, target = in_units_of_label(pred, target)
        (_, sigma1), (_, sigma2) = as_gaussian(pred), as_gaussian(target)
        v1, v2 = (4 * root_of_det(sigma) for sigma in (sigma1, sigma2))
        # Root of det(S1 (S1 + S2)^-1 S2), the covariance after the filter, times 4.
        v = v1 * v2 / (4 * root_of_det(sigma1 + sigma2)).clamp(min=EPS)
        kfiou = v / (v1 + v2 - v).clamp(min=EPS)
        offset = rotate(pred[:, :2], -target[:, 4]) / target[:, 2:4].clamp(min=EPS)
        centre = F.smooth_l1_loss(
            offset, torch.zeros_like(offset), beta=self.beta, reduction='none'
        ).sum(1)
        return 1 - 3 * kfiou + centre


@MODELS.register_module()
class GWDLoss(RotatedBoxLoss):
    """Gaussian Wasserstein distance (Yang et al., ICML 2021, arXiv:2101.11952).

    ``1 - 1 / (1 + ln(1 + W^2))``, with ``W^2`` in units of the label's area.

    Args:
        kwargs: See :class:`RotatedBoxLoss`.
    """

    def rows(self, pred: Tensor, target: Tensor) -> Tensor:
        pred, target = in_units_of_label(pred, target)
        (mean1, sigma1), (mean2, sigma2) = as_gaussian(pred), as_gaussian(target)
        # tr(root(A))^2 = tr(A) + 2 root(det(A)) for a 2 x 2 matrix, here A = S1 S2.
        twice = constant((1, 2, 1), sigma1)
        trace = (sigma1 * sigma2 * twice).sum(1) + 2 * root_of_det(sigma1) * root_of_det(sigma2)
        distance = (
            (mean1 - mean2).square().sum(1)
            + (sigma1 + sigma2)[:, ::2].sum(1)
            - 2 * (trace.clamp(min=0) + EPS**2).sqrt()
        )
        return 1 - 1 / (1 + torch.log1p(distance.clamp(min=0)))
