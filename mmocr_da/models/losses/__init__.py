"""Losses with the interface of MMDetection: predicted boxes and their labels in, loss out."""

from .gaussian_losses import GWDLoss, KFIoULoss
from .gradient_balance import GradientBalance
from .ls_iou import LSIoULoss
from .rotated_box_loss import RotatedBoxLoss
from .rotated_iou_loss import RotatedIoULoss

__all__ = [
    'GWDLoss',
    'GradientBalance',
    'KFIoULoss',
    'LSIoULoss',
    'RotatedBoxLoss',
    'RotatedIoULoss',
]
