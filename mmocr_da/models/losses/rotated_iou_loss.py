"""The exact IoU of rotated boxes as a loss."""

from torch import Tensor

from mmocr_da.registry import MODELS
from mmocr_da.structures import rotated_iou

from .rotated_box_loss import RotatedBoxLoss


@MODELS.register_module()
class RotatedIoULoss(RotatedBoxLoss):
    """``1 - IoU`` of rotated boxes; boxes that do not touch have no gradient.

    Args:
        kwargs: See :class:`RotatedBoxLoss`.
    """

    def rows(self, pred: Tensor, target: Tensor) -> Tensor:
        return 1 - rotated_iou(pred, target)
