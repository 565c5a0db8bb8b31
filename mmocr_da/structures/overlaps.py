"""Overlaps of rotated boxes: exact, differentiable, on every device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .geometry import corners_of, surrounding

#: Number of pairs per block for areas, by device: 9 MB on a CPU, where more is slower, and 280 MB
#: on CUDA, where larger blocks save launches.
AREAS = {'cpu': 1 << 13, 'cuda': 1 << 18}
#: Number of pairs per block in :func:`may_overlap`: 7 MB on a CPU, 420 MB on CUDA.
PAIRS = {'cpu': 1 << 18, 'cuda': 1 << 24}
#: Edges closer than this share of a box count as one edge, of the first box.
SLACK = 1e-9


def rotated_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Compute the IoU of pairs, ``(N, 5), (N, 5) -> (N,)``, differentiable in both boxes.

    Negative sizes count as 0. MMCV's ``diff_iou_rotated_2d`` needs a GPU. Its ``box_iou_rotated``
    has no gradient and is wrong by up to 1 where sides of the two boxes lie on one line, as is
    common among labels. Where boxes share an edge the IoU has a kink, and the gradient is one of
    its one-sided derivatives.

    >>> rotated_iou(torch.tensor([[0., 0., 2., 2., 0.]]), torch.tensor([[1., 0., 2., 2., 0.]]))
    tensor([0.3333])
    """
    inside, area1, area2 = shared_area(boxes1, boxes2)
    return (inside / (area1 + area2 - inside).clamp(min=1e-12)).to(boxes1.dtype)


def shared_area(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute areas of pairs of boxes, ``(N, 5), (N, 5) -> 3 x (N,)``.

    By Green's theorem the area of the intersection is an integral along its boundary. The boundary
    consists of the parts of the edges of each box that lie inside the other box. So each of the
    eight edges is clipped by four half planes, and no points need to be sorted. Computed in
    float64, in units of the second box's long side.

    Returns:
        The areas of the intersection, of the first and of the second box.
    """
    tiny = torch.finfo(boxes1.dtype).tiny
    boxes1, boxes2 = boxes1.double(), boxes2.double()
    # Relative to the centre of the second box, so that coordinates and sides are of one size.
    centre = boxes2[:, :2].detach()
    unit = boxes2[:, 2:4].detach().amax(1).clamp(min=tiny)[:, None]
    boxes1, boxes2 = (
        torch.cat([(b[:, :2] - centre) / unit, (b[:, 2:4] / unit).clamp(min=0), b[:, 4:]], 1)
        for b in (boxes1, boxes2)
    )
    a, b = corners_of(boxes1), corners_of(boxes2)
    inside = (_clipped(a, b, SLACK) + _clipped(b, a, -SLACK)).clamp(min=0)
    area1, area2 = boxes1[:, 2:4].prod(1), boxes2[:, 2:4].prod(1)
    return torch.minimum(inside, torch.minimum(area1, area2)), area1, area2


def _clipped(a: Tensor, b: Tensor, slack: float) -> Tensor:
    """Integral of ``(x dy - y dx) / 2`` along the edges of ``a`` inside ``b``, ``(N, 4, 2)``."""
    start, edge = a[:, :, None], (a.roll(-1, 1) - a)[:, :, None]
    side = (b.roll(-1, 1) - b)[:, None]
    # Distance of the start of an edge of a inside each side of b, and its change to the end.
    inside = _cross(side, start - b[:, None]) + slack * side.norm(dim=-1)
    change = _cross(side, edge)
    crosses = change.abs() > 1e-14
    at = -inside / torch.where(crosses, change, 1.0)
    enters = torch.where(crosses & (change > 0), at, 0.0).amax(-1).clamp(0, 1)
    leaves = torch.where(crosses & (change < 0), at, 1.0).amin(-1).clamp(0, 1)
    outside = (~crosses & (inside < 0)).any(-1)
    share = (leaves - enters).clamp(min=0).masked_fill(outside, 0)
    return (share * _cross(start, edge)[..., 0]).sum(-1) / 2


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def rotated_overlaps(
    boxes1: Tensor, boxes2: Tensor, mode: str = 'iou', is_aligned: bool = False
) -> Tensor:
    """Compute overlaps of rotated boxes, for assigners and metrics, without a gradient.

    Only pairs with surrounding axis-parallel boxes that touch are computed; the others have no
    overlap. Besides the result it needs 30 MB on a CPU and at most 1 GB on CUDA, whatever M and N.
    On CUDA the host waits for the number of such pairs once per 16 million pairs, and never below
    262,144 pairs.

    Args:
        boxes1: ``(M, 5)``.
        boxes2: ``(N, 5)``, with ``is_aligned`` as many as ``boxes1``.
        mode: ``'iou'``, or ``'iof'``: the share of a box in ``boxes1`` that is covered.
        is_aligned: Compare rows with rows.

    Returns:
        ``(M, N)``, or ``(M,)``; float32. A box without an area overlaps with nothing.

    Raises:
        ValueError: If ``mode`` is another one.
    """
    boxes1, boxes2 = boxes1.detach().float(), boxes2.detach().float()
    if mode not in ('iou', 'iof'):
        raise ValueError(f"mode must be 'iou' or 'iof', got {mode!r}")
    if is_aligned:
        i = torch.arange(len(boxes1), device=boxes1.device)
        return _overlaps_of(boxes1, boxes2, i, i, mode)
    if boxes1.is_cuda and len(boxes1) * len(boxes2) <= AREAS['cuda']:
        return _overlaps_of_all(boxes1, boxes2, mode)
    overlaps = boxes1.new_zeros(len(boxes1), len(boxes2))
    for rows, columns in _blocks(boxes1, boxes2):
        a, b = boxes1[rows], boxes2[columns]
        i, j = _may_overlap(a, b).nonzero(as_tuple=True)
        overlaps[rows, columns][i, j] = _overlaps_of(a, b, i, j, mode)
    return overlaps


def _overlaps_of_all(boxes1: Tensor, boxes2: Tensor, mode: str) -> Tensor:
    """Compute all pairs, also without contact, so the host need not wait for their number."""
    near = may_overlap(boxes1, boxes2)
    pairs = torch.arange(near.numel(), device=near.device)
    i, j = pairs // max(len(boxes2), 1), pairs % max(len(boxes2), 1)
    return _overlaps_of(boxes1, boxes2, i, j, mode).view(near.shape).masked_fill(~near, 0)


def may_overlap(boxes1: Tensor, boxes2: Tensor, iou: float = 0.0) -> Tensor:
    """Mark pairs that may have an IoU of ``iou`` or more, ``(M, 5), (N, 5) -> (M, N)`` bool.

    It computes no IoU: no false negatives, some false positives. The intersection of two boxes is
    inside the intersection of the axis-parallel boxes around them. It is also inside the
    parallelogram where two strips cross, one strip per box: the strips between their long sides, or
    the strips between their short sides.
    """
    near = boxes1.new_empty(len(boxes1), len(boxes2), dtype=torch.bool)
    for rows, columns in _blocks(boxes1, boxes2):
        near[rows, columns] = _may_overlap(boxes1[rows], boxes2[columns], iou)
    return near


def _blocks(boxes1: Tensor, boxes2: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield all pairs of rows and columns, block by block."""
    size = _on(boxes1, PAIRS)
    width = min(max(len(boxes2), 1), size)
    height = size // width
    for row in range(0, len(boxes1), height):
        for column in range(0, len(boxes2), width):
            yield slice(row, row + height), slice(column, column + width)


def _may_overlap(boxes1: Tensor, boxes2: Tensor, iou: float = 0.0) -> Tensor:
    a, b = surrounding(boxes1)[:, None], surrounding(boxes2)[None]
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    inside = sides.clamp(min=0).prod(-1)
    if not iou:
        return inside > 0
    (w1, h1, t1), (w2, h2, t2) = (boxes.unbind(1)[2:] for boxes in (boxes1, boxes2))
    sine = (t1[:, None] - t2[None]).sin().abs().clamp(min=1e-6)
    for side1, side2 in ((h1, h2), (w1, w2)):
        inside = torch.minimum(inside, side1[:, None] * side2[None] / sine)
    area1, area2 = (w1 * h1)[:, None], (w2 * h2)[None]
    inside = torch.minimum(inside, torch.minimum(area1, area2))
    # With a margin for rounding errors of the IoU.
    return (inside > 0) & (inside >= (iou - 1e-3) * (area1 + area2 - inside))


@torch.no_grad()
def _overlaps_of(boxes1: Tensor, boxes2: Tensor, i: Tensor, j: Tensor, mode: str) -> Tensor:
    """Overlaps of ``boxes1[i]`` with ``boxes2[j]``."""
    out = boxes1.new_zeros(len(i))
    size = _on(boxes1, AREAS)
    for start in range(0, len(i), size):
        pairs = slice(start, start + size)
        inside, area1, area2 = shared_area(boxes1[i[pairs]], boxes2[j[pairs]])
        whole = area1 + area2 - inside if mode == 'iou' else area1
        out[pairs] = (inside / whole.clamp(min=1e-12)).to(out)
    return out


def _on(boxes: Tensor, sizes: dict[str, int]) -> int:
    return sizes.get(boxes.device.type, sizes['cpu'])
