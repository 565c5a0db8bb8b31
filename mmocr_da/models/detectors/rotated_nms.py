"""Rotated NMS by exact overlaps."""
from typing import Tuple

import torch
from torch import Tensor

from mmocr_da.structures import may_overlap, rotated_overlaps

#: Boxes that are compared with all better ones at once.
BLOCK = 1024


def nms_rotated(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tuple[Tensor, Tensor]:
    """What MMCV's ``nms_rotated`` does, by :func:`~mmocr_da.structures.rotated_iou`.

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

    def beats(near: Tensor, better: Tensor, worse: Tensor) -> Tuple[Tensor, Tensor]:
        """Of pairs that may, those that overlap by the threshold or more."""
        rows, columns = near.nonzero(as_tuple=True)
        better, worse = better[rows], worse[columns]
        goes = rotated_overlaps(boxes[better], boxes[worse], is_aligned=True) >= iou_threshold
        return better[goes], worse[goes]

    kept = order[:0]
    for start in range(0, len(boxes), BLOCK):
        block = torch.arange(start, min(start + BLOCK, len(boxes)), device=dets.device)
        beaten = beats(may_overlap(boxes[kept], boxes[block], iou_threshold), kept, block)
        block = block[~torch.isin(block, beaten[1])]
        near = may_overlap(boxes[block], boxes[block], iou_threshold).triu(1)
        rivals = {i: [] for i in block.tolist()}
        for i, j in zip(*(rows.tolist() for rows in beats(near, block, block))):
            rivals[i].append(j)
        gone = set()
        for i, js in rivals.items():
            if i not in gone:
                gone.update(js)
        stays = [i for i in rivals if i not in gone]
        kept = torch.cat([kept, kept.new_tensor(stays)])
    keep = order[kept]
    return torch.cat([dets[keep], scores[keep, None]], 1), keep
