"""Rotated boxes as numbers: the convention, corners, polygons.

One convention, everywhere in this package (``le90``): a box is ``(cx, cy, w, h, angle)``, ``w``
its long side, ``angle`` the angle of the long side in radians, in ``[-pi/2, pi/2)``, clockwise on
the screen (x to the right, y down). MMCV's rotated operators use it with ``clockwise=True``.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def regularize(boxes: Tensor) -> Tensor:
    """Convert rectangles to the convention, ``(..., 5) -> (..., 5)``.

    >>> regularize(torch.tensor([0., 0., 2., 6., 0.]))
    tensor([ 0.0000,  0.0000,  6.0000,  2.0000, -1.5708])
    """
    x, y, w, h, angle = boxes.unbind(-1)
    tall = w < h
    angle = torch.where(tall, angle + math.pi / 2, angle)
    angle = (angle + math.pi / 2) % math.pi - math.pi / 2
    return torch.stack([x, y, torch.where(tall, h, w), torch.where(tall, w, h), angle], -1)


def rotate(vectors: Tensor, angle: Tensor) -> Tensor:
    """Rotate vectors by angles in radians, clockwise, ``(..., 2), (...) -> (..., 2)``.

    >>> rotate(torch.tensor([2., 0.]), torch.tensor(math.pi / 2))
    tensor([-8.7423e-08,  2.0000e+00])
    """
    cos, sin = angle.cos(), angle.sin()
    x, y = vectors.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


def corners_of(boxes: Tensor) -> Tensor:
    """Compute corners, ``(..., 5) -> (..., 4, 2)``, clockwise from the unrotated top left.

    >>> corners_of(torch.tensor([5., 5., 4., 2., 0.])).tolist()
    [[3.0, 4.0], [7.0, 4.0], [7.0, 6.0], [3.0, 6.0]]
    """
    centre, w, h, angle = boxes[..., :2], boxes[..., 2:3], boxes[..., 3:4], boxes[..., 4:5]
    cos, sin = angle.cos(), angle.sin()
    along = torch.cat([w / 2 * cos, w / 2 * sin], -1)
    across = torch.cat([-h / 2 * sin, h / 2 * cos], -1)
    return torch.stack(
        [
            centre - along - across,
            centre + along - across,
            centre + along + across,
            centre - along + across,
        ],
        -2,
    )


def surrounding(boxes: Tensor) -> Tensor:
    """Compute surrounding axis-parallel boxes, ``(..., 5) -> (..., 4)`` (x1, y1, x2, y2)."""
    w, h, angle = boxes[..., 2], boxes[..., 3], boxes[..., 4]
    cos, sin = angle.cos().abs(), angle.sin().abs()
    half = torch.stack([w * cos + h * sin, w * sin + h * cos], -1) / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def polygons_to_rotated(polygons: Sequence[NDArray[Any]]) -> Tensor:
    """Compute the smallest rotated box around each polygon, ``(N, 5)`` float32.

    Args:
        polygons: Polygons with at least 3 points, each ``(x1, y1, x2, y2, ...)`` or ``(P, 2)``.
            Polygons without an area give boxes without one.

    Raises:
        ValueError: If a polygon has fewer than 3 points.
    """
    boxes = np.zeros((len(polygons), 5), np.float32)
    for box, polygon in zip(boxes, polygons):
        points = np.asarray(polygon, np.float32).reshape(-1, 2)
        if len(points) < 3:
            raise ValueError(f'a polygon must have at least 3 points, got {len(points)}')
        # Far from the origin float32 has few digits left for a small box.
        origin = points.mean(0)
        (x, y), (w, h), degrees = cv2.minAreaRect(points - origin)
        box[:] = x + origin[0], y + origin[1], w, h, math.radians(degrees)
    return regularize(torch.from_numpy(boxes))
