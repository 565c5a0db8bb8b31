"""Overlaps of rotated boxes, for MMDetection's assigners."""

from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

from mmocr_da.registry import TASK_UTILS
from mmocr_da.structures import rotated_overlaps


@TASK_UTILS.register_module()
class RotatedOverlaps:
    """``iou_calculator`` of assigners, by :func:`~mmocr_da.structures.rotated_overlaps`."""

    def __call__(
        self,
        bboxes1: Tensor | BaseBoxes,
        bboxes2: Tensor | BaseBoxes,
        mode: str = 'iou',
        is_aligned: bool = False,
    ) -> Tensor:
        """Return overlaps, ``(M, 5), (N, 5) -> (M, N)``, or ``(M,)`` with ``is_aligned``."""
        return rotated_overlaps(get_box_tensor(bboxes1), get_box_tensor(bboxes2), mode, is_aligned)

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
