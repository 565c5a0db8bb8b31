"""Checks that the heads of a detector fit their regression losses."""

from mmdet.models import losses
from torch import nn

from ..losses import RotatedBoxLoss
from .rotated_anchor_generator import RotatedAnchorGenerator

# Losses of offsets. They compare number by number, but boxes mix pixels and radians.
BY_NUMBER = (losses.SmoothL1Loss, losses.L1Loss, losses.BalancedL1Loss, losses.MSELoss)
# Losses of boxes x1, y1, x2, y2.
OF_FOUR_NUMBERS = (
    losses.IoULoss,
    losses.GIoULoss,
    losses.DIoULoss,
    losses.CIoULoss,
    losses.EIoULoss,
    losses.SIoULoss,
    losses.BoundedIoULoss,
)


def check_heads(detector: nn.Module) -> None:
    """Check that heads give boxes to losses of boxes and offsets to losses of offsets.

    MMDetection's heads give their ``loss_bbox`` boxes if ``reg_decoded_bbox=True``, else offsets
    from anchors or proposals. A loss of boxes would treat most offsets as boxes without an area,
    and silently be 0.

    Raises:
        ValueError: If a head and its loss disagree, or heads have boxes of different sizes.
    """
    heads = {
        name: head
        for name, head in detector.named_modules()
        if hasattr(head, 'loss_bbox') and hasattr(head, 'reg_decoded_bbox')
    }
    for name, head in heads.items():
        _check_loss(name, head)
    sizes = {
        name: head.bbox_coder.encode_size
        for name, head in heads.items()
        if hasattr(head, 'bbox_coder')
    }
    rotated = any(
        isinstance(getattr(head, 'prior_generator', None), RotatedAnchorGenerator)
        for head in heads.values()
    )
    _check_sizes(sizes, rotated)


def _check_loss(name: str, head: nn.Module) -> None:
    loss, kind = head.loss_bbox, type(head.loss_bbox).__name__
    if isinstance(loss, RotatedBoxLoss) and not head.reg_decoded_bbox:
        raise ValueError(
            f'{name} has the loss_bbox {kind}, which compares boxes, and got '
            'reg_decoded_bbox=False, with which a head gives offsets: set '
            f'reg_decoded_bbox=True in {name}'
        )
    if getattr(getattr(head, 'bbox_coder', None), 'encode_size', 4) == 4:
        return
    if isinstance(loss, BY_NUMBER) and head.reg_decoded_bbox:
        raise ValueError(
            f'{name} has the loss_bbox {kind}, which compares offsets, and got '
            'reg_decoded_bbox=True, with which a head gives boxes, in pixels and '
            f'radians: set reg_decoded_bbox=False in {name}, or a loss of boxes such '
            'as mmocr_da.RotatedIoULoss'
        )
    if isinstance(loss, OF_FOUR_NUMBERS):
        raise ValueError(
            f'{name} has rotated boxes, of five numbers, and got the loss_bbox '
            f'{kind}, which compares boxes of four: set a loss such as '
            'mmocr_da.RotatedIoULoss, with reg_decoded_bbox=True'
        )


def _check_sizes(sizes: dict[str, int], rotated: bool) -> None:
    if len({*sizes.values(), *([5] if rotated else [])}) > 1:
        found = ', '.join(f'{size} in {name}' for name, size in sizes.items())
        raise ValueError(
            f'all heads of a detector need a bbox_coder of the same number of values, '
            f'5 for rotated boxes, got {found}'
            f'{" with rotated anchors" if rotated else ""}: set bbox_coder=dict('
            "type='mmocr_da.DeltaXYWHTBBoxCoder', ...) in the heads with 4"
        )
