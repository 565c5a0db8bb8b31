"""Rotated NMS that a CPU can afford."""
from typing import Tuple

import torch
from mmcv.ops import nms_rotated as mmcv_nms_rotated
from torch import Tensor

from mmocr_da.structures import may_overlap, rotated_overlaps


def nms_rotated(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tuple[Tensor, Tensor]:
    """MMCV's ``nms_rotated``, which on a CPU computes the overlap of every pair it meets.

    Args:
        dets: Boxes ``(N, 5)``.
        scores: ``(N,)``.
        iou_threshold: A box goes if a better one overlaps with it by this much or more.

    Returns:
        Boxes that stay, with their scores ``(M, 6)``, the best first, and their rows ``(M,)``.
    """
    if dets.is_cuda:
        return mmcv_nms_rotated(dets, scores, iou_threshold)
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
    keep = order[torch.tensor(alive)]
    return torch.cat([dets[keep], scores[keep, None]], 1), keep
