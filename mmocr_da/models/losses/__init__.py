"""Losses of rotated boxes: predicted and labelled boxes go in, a loss of MMDetection comes out."""

from .gaussian_losses import GWDLoss, KFIoULoss
from .ls_iou import LSIoULoss
from .rotated_box_loss import RotatedBoxLoss
from .rotated_iou_loss import RotatedIoULoss

__all__ = ['GWDLoss', 'KFIoULoss', 'LSIoULoss', 'RotatedBoxLoss', 'RotatedIoULoss']
