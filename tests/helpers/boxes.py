"""Random rotated boxes, and what they are by complex numbers and shapely."""

import math

import numpy as np
import shapely
import torch


def random_boxes(count, seed=0, spread=100.0, dtype=torch.float32):
    """In the convention; none is nearly square, which would leave the angle open."""
    rng = np.random.default_rng(seed)
    h = rng.uniform(3, 30, count)
    boxes = [
        rng.uniform(0, spread, count),
        rng.uniform(0, spread, count),
        h * rng.uniform(1.2, 8, count),
        h,
        rng.uniform(-math.pi / 2, math.pi / 2, count),
    ]
    return torch.from_numpy(np.stack(boxes, 1)).to(dtype)


def single(*box):
    return torch.tensor([box], dtype=torch.float32)


def is_regular(boxes):
    _, _, w, h, angle = boxes.unbind(-1)
    return bool(((w >= h) & (angle >= -math.pi / 2) & (angle < math.pi / 2)).all())


def oracle_corners(boxes):
    """Corners of any rectangles, in float64 and by complex numbers."""
    x, y, w, h, angle = np.asarray(boxes, np.float64).T
    corners = [
        (x + 1j * y) + (sx * w + sy * h * 1j) / 2 * np.exp(1j * angle)
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    corners = np.stack(corners, 1)
    return np.stack([corners.real, corners.imag], -1)


def oracle_overlaps(boxes1, boxes2, mode='iou'):
    a, b = (shapely.polygons(oracle_corners(boxes)) for boxes in (boxes1, boxes2))
    both = shapely.area(shapely.intersection(a[:, None], b[None]))
    area1, area2 = shapely.area(a)[:, None], shapely.area(b)[None]
    return both / (area1 if mode == 'iof' else area1 + area2 - both)


def distance(corners1, corners2):
    """How far two sets of corners are apart, whatever their order, ``(N, 4, 2)`` each."""
    gaps = np.linalg.norm(
        np.asarray(corners1, float)[:, :, None] - np.asarray(corners2, float)[:, None], axis=-1
    )
    return max(gaps.min(1).max(), gaps.min(2).max())
