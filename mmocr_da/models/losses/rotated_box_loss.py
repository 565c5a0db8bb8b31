"""Base class of losses of decoded rotated boxes, with the interface of MMDetection's losses."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from mmengine.model import BaseModule
from torch import Tensor

from mmocr_da.arguments import check_number

#: Labels with a shorter side are treated as without an area, px.
MIN_SIDE = 1e-3
#: Number of pairs at the beginning of a training that are checked to be boxes, not offsets.
NUM_CHECKED = 256


class RotatedBoxLoss(BaseModule):
    """A loss for heads with ``reg_decoded_bbox=True``.

    A custom loss is a subclass with :meth:`rows`. Labels without an area have a loss of 0, because
    no box can match them.

    Args:
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: Factor of the loss.
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        _check_reduction(reduction)
        check_number('loss_weight', loss_weight, least=0)
        self.reduction = reduction
        self.loss_weight = loss_weight
        self._to_check = NUM_CHECKED

    @property
    def moves_boxes(self) -> bool:
        """Whether boxes learn from this loss in the current iteration."""
        return True

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> dict[str, Any]:
        """Return a loss that every head accepts, as testing needs none (:mod:`mmocr_da.plain`)."""
        return dict(type='SmoothL1Loss')

    def rows(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of each pair, ``(N, 5), (N, 5) -> (N,)``, in the dtype of ``pred``."""
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss of a head's boxes in float32 or float64, also under AMP.

        Args:
            pred: ``(N, 5)``, or ``(N, 4)`` of x1, y1, x2, y2.
            target: Their labels, in the same form.
            weight: ``(N,)``, or ``(N, 5)`` as heads pass it. Pairs with weight 0 are skipped.
            avg_factor: Divisor of the sum instead of ``N``.
            reduction_override: Replaces ``reduction``.

        Returns:
            A scalar, or ``(N,)`` for the reduction ``'none'``.

        Raises:
            ValueError: If ``pred`` and ``target`` are not boxes of the same shape.
        """
        reduction = reduction_override or self.reduction
        _check_reduction(reduction)
        used, boxes, labels = self.pairs(pred, target, weight)
        if weight is not None and weight.dim() > 1:
            weight = weight.mean(-1)
        with torch.autocast(pred.device.type, enabled=False):
            loss = self.rows(boxes, labels).to(boxes.dtype)
            loss = loss.new_zeros(len(pred)).index_put((used,), loss)
            return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)

    def pairs(
        self, pred: Tensor, target: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Select pairs with a weight and an area.

        Returns:
            Their rows ``(M,)``, and their boxes and labels as rotated boxes, ``(M, 5)``.

        Raises:
            ValueError: If ``pred`` and ``target`` are not boxes of the same shape.
        """
        if pred.shape != target.shape or pred.size(-1) not in (4, 5):
            raise ValueError(
                'pred and target must be boxes of 5 numbers, or of 4, of one shape, '
                f'got {tuple(pred.shape)} and {tuple(target.shape)}; a head needs '
                'reg_decoded_bbox=True'
            )
        dtype = torch.promote_types(pred.dtype, torch.float32)
        labels = as_rotated(target.to(dtype))
        counts = labels[:, 2:4].amin(1) > MIN_SIDE
        if weight is not None:
            weight = weight if weight.dim() == 1 else weight.mean(-1)
            counts &= weight > 0
        if self.training and self._to_check > 0:
            weighted = torch.ones_like(counts) if weight is None else weight > 0
            self._check_boxes(as_rotated(pred.detach().to(dtype)), labels, weighted)
        (used,) = counts.nonzero(as_tuple=True)
        return used, as_rotated(pred[used].to(dtype)), labels[used]

    def _check_boxes(self, boxes: Tensor, labels: Tensor, weighted: Tensor) -> None:
        """Raise a ValueError if a head gives offsets instead of boxes.

        Boxes have positive sides. Offsets have either sign, and are about 0 before training.
        """
        flat = boxes[:, 2:4].amin(1) < MIN_SIDE
        negative = labels[:, 2:4].amin(1) < -MIN_SIDE
        # One copy from the device for all.
        count, flat, negative = torch.stack(
            [(mask & weighted).sum() for mask in (weighted, flat, negative)]
        ).tolist()
        self._to_check -= count
        if negative or flat > count / 2:
            raise ValueError(
                f'{type(self).__name__} compares boxes, got {count} with sides that are '
                'negative or 0: offsets from anchors or proposals, as heads give them without '
                'reg_decoded_bbox=True; set it in the head of this loss'
            )


def _check_reduction(reduction: str) -> None:
    if reduction not in ('mean', 'sum', 'none'):
        raise ValueError(f'reduction must be one of mean, sum, none, got {reduction!r}')


def as_rotated(boxes: Tensor) -> Tensor:
    """Convert boxes ``(N, 4)`` (x1, y1, x2, y2) to ``(N, 5)``; ``(N, 5)`` stays unchanged.

    >>> as_rotated(torch.tensor([[0., 0., 2., 4.]])).tolist()
    [[1.0, 2.0, 2.0, 4.0, 0.0]]
    """
    if boxes.size(-1) == 5:
        return boxes
    return F.pad(bbox_xyxy_to_cxcywh(boxes), (0, 1))
