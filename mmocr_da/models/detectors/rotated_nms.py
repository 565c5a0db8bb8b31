"""Rotated NMS by exact overlaps."""
from typing import Tuple

import torch
from torch import Tensor

from mmocr_da.structures import may_overlap, rotated_overlaps


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
    better, worse = may_overlap(boxes, boxes, iou_threshold).triu(1).nonzero(as_tuple=True)
    goes = rotated_overlaps(boxes[better], boxes[worse], is_aligned=True) >= iou_threshold
    rivals = [[] for _ in range(len(boxes))]
    for i, j in zip(better[goes].tolist(), worse[goes].tolist()):
        rivals[i].append(j)
    alive = [True] * len(boxes)
    for i, js in enumerate(rivals):
        if alive[i]:
            for j in js:
                alive[j] = False
    keep = order[torch.tensor(alive, device=order.device)]
    return torch.cat([dets[keep], scores[keep, None]], 1), keep
