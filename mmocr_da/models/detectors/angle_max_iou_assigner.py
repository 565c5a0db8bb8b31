"""Assignment of anchors to labels in RRPN (Ma et al., arXiv:1703.01086)."""

import math
from typing import Any

import torch
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from mmocr_da.arguments import check_number
from mmocr_da.registry import TASK_UTILS

#: Number of pairs of angles that are compared at once; 200 MB.
PAIRS = 1 << 24


@TASK_UTILS.register_module()
class AngleMaxIoUAssigner(MaxIoUAssigner):
    """MMDetection's ``MaxIoUAssigner``, with a condition on the angle.

    A box and a label can match only if their angles differ by less than ``max_angle``; then the
    overlap decides as in ``MaxIoUAssigner``. If the angle differs more, a box is background if it
    overlaps by ``pos_iou_thr`` or more, and ignored if it overlaps by less, but at least
    ``neg_iou_thr``.

    Args:
        pos_iou_thr: See ``MaxIoUAssigner``, also for all arguments that are not listed here.
        neg_iou_thr: One number.
        max_angle: In degrees, 15 in RRPN.
    """

    def __init__(
        self, pos_iou_thr: float, neg_iou_thr: float, max_angle: float = 15.0, **kwargs: Any
    ) -> None:
        check_number('pos_iou_thr', pos_iou_thr, least=0, most=1)
        check_number('neg_iou_thr', neg_iou_thr, least=0, most=1)
        check_number('max_angle', max_angle, least=0)
        if not isinstance(neg_iou_thr, float):
            raise ValueError(f'neg_iou_thr must be one float, got {neg_iou_thr!r}')
        kwargs.setdefault('iou_calculator', dict(type='mmocr_da.RotatedOverlaps'))
        super().__init__(pos_iou_thr, neg_iou_thr, **kwargs)
        self.max_angle = math.radians(max_angle)

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """See ``MaxIoUAssigner``; ``priors`` and ``bboxes`` are rotated boxes."""
        # The host's method does not return the overlaps, so `assign_wrt_overlaps`, which it calls
        # at its end, applies the angles.
        labels, priors = (
            get_box_tensor(boxes)[:, 4] for boxes in (gt_instances.bboxes, pred_instances.priors)
        )
        self._fits = self._angles_fit(labels, priors)
        try:
            return super().assign(pred_instances, gt_instances, gt_instances_ignore, **kwargs)
        finally:
            del self._fits

    def _angles_fit(self, labels: Tensor, priors: Tensor) -> Tensor:
        """``(G,), (N,) -> (G, N)`` bool, some labels at a time to save memory."""
        fits = labels.new_empty(len(labels), len(priors), dtype=torch.bool)
        step = max(1, PAIRS // max(len(priors), 1))
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            fits[rows] = angle_difference(labels[rows, None], priors) < self.max_angle
        return fits

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        fits = self._fits.to(overlaps.device)
        ignored = overlaps < 0
        result = super().assign_wrt_overlaps(
            overlaps.masked_fill(~(fits | ignored), 0.0), gt_labels
        )
        if len(overlaps):
            # Wrong angle: too much overlap for background, too little for a clear mistake.
            between = (overlaps >= self.neg_iou_thr) & (overlaps < self.pos_iou_thr)
            unclear = (between & ~fits).any(0)
            result.gt_inds.masked_fill_(unclear & (result.gt_inds == 0), -1)
        return result


def angle_difference(a: Tensor, b: Tensor) -> Tensor:
    """Angle between two undirected lines, in radians, from 0 to pi/2.

    >>> angle_difference(torch.tensor(-1.5), torch.tensor(1.5)).item() < 0.15
    True
    """
    return ((a - b + math.pi / 2) % math.pi - math.pi / 2).abs()
