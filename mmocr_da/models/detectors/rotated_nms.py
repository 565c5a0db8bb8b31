"""Rotated NMS by exact overlaps."""

import numpy as np
import torch
from torch import Tensor

from mmocr_da.device import on_device
from mmocr_da.structures import may_overlap, rotated_overlaps

#: Boxes that are compared with all better ones at once, by device: in small blocks, few of those
#: that are already out are compared; after each, the host has to wait for a CUDA device.
BLOCK = {'cpu': 256, 'cuda': 4096}
#: Pairs per box of a block that there is room for on CUDA. If there are more, it waits once more.
ROOM = 64


def nms_rotated(dets: Tensor, scores: Tensor, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """What MMCV's ``nms_rotated`` does, by :func:`~mmocr_da.structures.rotated_overlaps`.

    MMCV's own may keep two boxes that overlap if their sides lie on one line, and on a CPU it
    compares every pair it meets. Here, only those that can overlap enough are compared.

    Args:
        dets: Boxes ``(N, 5)``.
        scores: ``(N,)``.
        iou_threshold: A box goes if a better one overlaps with it by this much or more.

    Returns:
        Boxes that stay, with their scores ``(M, 6)``, the best first, and their rows ``(M,)``.
    """
    order = scores.sort(descending=True)[1]
    boxes = dets[order].float()
    size = BLOCK.get(dets.device.type, BLOCK['cpu'])
    kept, gone = order[:0], np.zeros(len(boxes), bool)
    for start in range(0, len(boxes), size):
        block = torch.arange(start, min(start + size, len(boxes)), device=dets.device)
        better, worse = _rivals(boxes, torch.cat([kept, block]), block, iou_threshold)
        rows, starts = np.unique(better, return_index=True)
        for row, rivals in zip(rows, np.split(worse, starts[1:])):
            if not gone[row]:
                gone[rivals] = True
        stays = start + np.flatnonzero(~gone[start : start + size])
        kept = torch.cat([kept, on_device(torch.from_numpy(stays), dets.device)])
    keep = order[kept]
    return torch.cat([dets[keep], scores[keep, None]], 1), keep


def _rivals(
    boxes: Tensor, better: Tensor, worse: Tensor, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of boxes, a better and a worse one, that overlap by the threshold; the best first."""
    near = may_overlap(boxes[better], boxes[worse], iou_threshold)
    near &= better[:, None] < worse
    places, found = None, ROOM * len(worse)
    while places is None or len(places) < found:
        places, number = _first_true(near.flatten(), found)
        i, j = better[places // len(worse)], worse[places % len(worse)]
        goes = rotated_overlaps(boxes[i], boxes[j], is_aligned=True) >= iou_threshold
        # A pair as one number, and all in one copy: that is what the host waits for.
        numbers = torch.where(goes & (i < j), i * len(boxes) + j, -1)
        fetched = torch.cat([numbers, number[None]]).cpu().numpy()
        pairs, found = fetched[:-1], int(fetched[-1])
    pairs = pairs[pairs >= 0]
    return pairs // len(boxes), pairs % len(boxes)


def _first_true(mask: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """Places at which ``mask`` is True, and how many there are.

    The host has to wait for a size that only CUDA knows. There, the first ``room`` places are
    found; if there are fewer, the others are the last place of the mask.
    """
    if not mask.is_cuda:
        places = mask.nonzero()[:, 0]
        return places, places.new_tensor(len(places))
    number = mask.cumsum(0, dtype=torch.int32)
    wanted = torch.arange(1, room + 1, device=mask.device, dtype=torch.int32)
    return torch.searchsorted(number, wanted).clamp(max=len(mask) - 1), number[-1].long()
