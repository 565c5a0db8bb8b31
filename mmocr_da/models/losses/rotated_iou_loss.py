"""The exact IoU of rotated boxes, with its gradient, on every device."""
import torch
from torch import Tensor

from mmocr_da.registry import MODELS
from mmocr_da.structures import corners_of

from .rotated_box_loss import RotatedBoxLoss

#: Edges closer than this share of a box count as one edge, of the first box.
SLACK = 1e-9


def rotated_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU of pairs, ``(N, 5), (N, 5) -> (N,)``, differentiable in both; sizes under 0 count as 0.

    By Green's theorem the area of the intersection is an integral along its boundary, which is what
    of the edges of either box lies inside the other one. So each of the eight edges is clipped by
    four half planes, and no points need to be sorted. In float64; MMCV's ``diff_iou_rotated_2d``
    has a GPU only. Where boxes share an edge the IoU has a kink, and the gradient is that of one
    side.

    >>> rotated_iou(torch.tensor([[0., 0., 2., 2., 0.]]), torch.tensor([[1., 0., 2., 2., 0.]]))
    tensor([0.3333])
    """
    dtype = boxes1.dtype
    boxes1, boxes2 = boxes1.double(), boxes2.double()
    # Both in units of the second, around its centre: there is no small number but the slack.
    centre = boxes2[:, :2].detach()
    unit = boxes2[:, 2:4].detach().amax(1).clamp(min=torch.finfo(dtype).tiny)[:, None]
    boxes1, boxes2 = (torch.cat([(b[:, :2] - centre) / unit, (b[:, 2:4] / unit).clamp(min=0),
                                 b[:, 4:]], 1) for b in (boxes1, boxes2))
    a, b = corners_of(boxes1), corners_of(boxes2)
    inside = (_clipped(a, b, SLACK) + _clipped(b, a, -SLACK)).clamp(min=0)
    area1, area2 = boxes1[:, 2:4].prod(1), boxes2[:, 2:4].prod(1)
    inside = torch.minimum(inside, torch.minimum(area1, area2))
    areas = area1 + area2
    return (inside / (areas - inside).clamp(min=1e-12)).to(dtype)


def _clipped(a: Tensor, b: Tensor, slack: float) -> Tensor:
    """Integral of ``(x dy - y dx) / 2`` along the edges of ``a`` inside ``b``, ``(N, 4, 2)``."""
    start, edge = a[:, :, None], (a.roll(-1, 1) - a)[:, :, None]
    side = (b.roll(-1, 1) - b)[:, None]
    # How far inside each side of b an edge of a starts, and how that changes from start to end.
    inside = _cross(side, start - b[:, None]) + slack * side.norm(dim=-1)
    change = _cross(side, edge)
    crosses = change.abs() > 1e-14
    at = -inside / torch.where(crosses, change, 1.)
    enters = torch.where(crosses & (change > 0), at, 0.).amax(-1).clamp(0, 1)
    leaves = torch.where(crosses & (change < 0), at, 1.).amin(-1).clamp(0, 1)
    outside = (~crosses & (inside < 0)).any(-1)
    share = (leaves - enters).clamp(min=0).masked_fill(outside, 0)
    return (share * _cross(start, edge)[..., 0]).sum(-1) / 2


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


@MODELS.register_module()
class RotatedIoULoss(RotatedBoxLoss):
    """``1 - IoU``. Boxes that do not touch have no gradient.

    Args:
        kwargs: See :class:`RotatedBoxLoss`.
    """

    def rows(self, pred: Tensor, target: Tensor) -> Tensor:
        return 1 - rotated_iou(pred, target)
