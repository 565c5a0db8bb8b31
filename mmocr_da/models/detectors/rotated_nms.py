"""Rotated NMS by exact overlaps."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmocr_da.device import on_device
from mmocr_da.structures import may_overlap, rotated_overlaps

#: Number of boxes that are compared with all better ones at once, by device. Small blocks compare
#: fewer boxes that are suppressed already; after each block the host has to wait for a CUDA device.
BLOCK = {'cpu': 256, 'cuda': 4096}
#: Number of pairs per box of a block that fit into memory allocated ahead on CUDA. If there are
#: more, the host waits once more.
ROOM = 64


def nms_rotated(dets: Tensor, scores: Tensor, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """MMCV's ``nms_rotated``, by the exact :func:`~mmocr_da.structures.rotated_overlaps`.

    MMCV's function may keep two overlapping boxes if their sides lie on one line, and on a CPU it
    compares every pair. This one compares only the pairs that
    :func:`~mmocr_da.structures.may_overlap` finds for the threshold.

    Args:
        dets: Boxes ``(N, 5)``.
        scores: ``(N,)``.
        iou_threshold: A box is suppressed if its IoU with a better, kept one is at least this.

    Returns:
        Kept boxes with their scores ``(M, 6)``, the best first, and their rows ``(M,)``.
    """
    order = scores.sort(descending=True)[1]
    boxes = dets[order].float()
    size = BLOCK.get(dets.device.type, BLOCK['cpu'])
    kept, suppressed = order[:0], np.zeros(len(boxes), bool)
    for start in range(0, len(boxes), size):
        block = torch.arange(start, min(start + size, len(boxes)), device=dets.device)
        better, worse = _rivals(boxes, torch.cat([kept, block]), block, iou_threshold)
        rows, starts = np.unique(better, return_index=True)
        for row, rivals in zip(rows, np.split(worse, starts[1:])):
            if not suppressed[row]:
                suppressed[rivals] = True
        stays = start + np.flatnonzero(~suppressed[start : start + size])
        kept = torch.cat([kept, on_device(torch.from_numpy(stays), dets.device)])
    keep = order[kept]
    return torch.cat([dets[keep], scores[keep, None]], 1), keep


def _rivals(
    boxes: Tensor, better: Tensor, worse: Tensor, iou_threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the pairs that overlap by the threshold: the better and the worse boxes."""
    near = may_overlap(boxes[better], boxes[worse], iou_threshold)
    near &= better[:, None] < worse
    places, found = None, ROOM * len(worse)
    while places is None or len(places) < found:
        places, number = _first_true(near.flatten(), found)
        i, j = better[places // len(worse)], worse[places % len(worse)]
        overlaps = rotated_overlaps(boxes[i], boxes[j], is_aligned=True) >= iou_threshold
        # Each pair as one number, so that the host waits for one copy only.
        numbers = torch.where(overlaps & (i < j), i * len(boxes) + j, -1)
        fetched = torch.cat([numbers, number[None]]).cpu().numpy()
        pairs, found = fetched[:-1], int(fetched[-1])
    pairs = pairs[pairs >= 0]
    return pairs // len(boxes), pairs % len(boxes)


def _first_true(mask: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """Indexes at which ``mask`` is True, and their number.

    On CUDA the host would have to wait for the number to know the size of the result. There the
    result has ``room`` indexes; surplus ones are the last index of the mask.
    """
    if not mask.is_cuda:
        places = mask.nonzero()[:, 0]
        return places, places.new_tensor(len(places))
    number = mask.cumsum(0, dtype=torch.int32)
    wanted = torch.arange(1, room + 1, device=mask.device, dtype=torch.int32)
    return torch.searchsorted(number, wanted).clamp(max=len(mask) - 1), number[-1].long()
