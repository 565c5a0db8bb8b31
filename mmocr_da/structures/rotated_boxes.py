"""Rotated boxes as a box type of MMDetection, which itself has axis-parallel ones only.

One convention, everywhere in this package (``le90``): a box is ``(cx, cy, w, h, angle)``, ``w``
its long side, ``angle`` that of the long side in radians, in ``[-pi/2, pi/2)``, clockwise as one
sees it (x to the right, y down). It is that of MMCV's rotated operators with ``clockwise=True``.
"""
import math
from typing import List, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from mmcv.ops import box_iou_rotated
from mmdet.structures.bbox import (
    BaseBoxes,
    HorizontalBoxes,
    register_box,
    register_box_converter,
)
from mmdet.structures.mask import BitmapMasks, PolygonMasks, bitmap_to_polygon
from torch import Tensor


def regularize(boxes: Tensor) -> Tensor:
    """The same rectangles in the convention, ``(..., 5) -> (..., 5)``.

    >>> regularize(torch.tensor([0., 0., 2., 6., 0.]))
    tensor([ 0.0000,  0.0000,  6.0000,  2.0000, -1.5708])
    """
    x, y, w, h, angle = boxes.unbind(-1)
    tall = w < h
    angle = torch.where(tall, angle + math.pi / 2, angle)
    angle = (angle + math.pi / 2) % math.pi - math.pi / 2
    return torch.stack([x, y, torch.where(tall, h, w), torch.where(tall, w, h), angle], -1)


def corners_of(boxes: Tensor) -> Tensor:
    """Corners, ``(..., 5) -> (..., 4, 2)``, clockwise from the top left of the unrotated box.

    >>> corners_of(torch.tensor([5., 5., 4., 2., 0.])).tolist()
    [[3.0, 4.0], [7.0, 4.0], [7.0, 6.0], [3.0, 6.0]]
    """
    centre, w, h, angle = boxes[..., :2], boxes[..., 2:3], boxes[..., 3:4], boxes[..., 4:5]
    cos, sin = angle.cos(), angle.sin()
    along = torch.cat([w / 2 * cos, w / 2 * sin], -1)
    across = torch.cat([-h / 2 * sin, h / 2 * cos], -1)
    return torch.stack([centre - along - across, centre + along - across,
                        centre + along + across, centre - along + across], -2)


def polygons_to_rotated(polygons: Sequence[np.ndarray]) -> Tensor:
    """Smallest rotated box around each polygon, ``(N, 5)`` float32.

    Args:
        polygons: Of any number of points, 3 at least, each ``(x1, y1, x2, y2, ...)`` or ``(P, 2)``.
            Polygons without an area give boxes without one.
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


def rotated_overlaps(boxes1: Tensor, boxes2: Tensor, mode: str = 'iou',
                     is_aligned: bool = False) -> Tensor:
    """Overlaps of rotated boxes, by MMCV's ``box_iou_rotated``.

    That one takes its 2 to 3 microseconds for every pair on a CPU, so it is asked only about pairs
    whose surrounding axis-parallel boxes touch.

    Args:
        boxes1: ``(M, 5)``.
        boxes2: ``(N, 5)``, with ``is_aligned`` as many as ``boxes1``.
        mode: ``'iou'``, or ``'iof'``: the share of a box in ``boxes1`` that is covered.
        is_aligned: Compare rows with rows.

    Returns:
        ``(M, N)``, or ``(M,)``; float32. A box without an area overlaps with nothing.
    """
    boxes1, boxes2 = boxes1.detach().float(), boxes2.detach().float()
    if is_aligned:
        return _aligned_overlaps(boxes1, boxes2, mode)
    near = may_overlap(boxes1, boxes2)
    rows, columns = near.nonzero(as_tuple=True)
    overlaps = boxes1.new_zeros(near.shape)
    overlaps[rows, columns] = _aligned_overlaps(boxes1[rows], boxes2[columns], mode)
    return overlaps


def may_overlap(boxes1: Tensor, boxes2: Tensor, iou: float = 0.) -> Tensor:
    """Pairs that may have an IoU of ``iou`` or more, ``(M, 5), (N, 5) -> (M, N)`` bool.

    Without an IoU being computed: none that has it is missed, some that have it not are named. The
    intersection is inside that of the surrounding boxes, and inside the parallelogram in which the
    two strips cross that the long sides, or the short ones, lie on.
    """
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
    # With a margin for what rounding does to the IoU.
    return (inside > 0) & (inside >= (iou - 1e-3) * (area1 + area2 - inside))


def _aligned_overlaps(boxes1: Tensor, boxes2: Tensor, mode: str) -> Tensor:
    if not len(boxes1):
        return boxes1.new_zeros(0)
    # The operator cancels digits far from the origin, where a page's last lines are.
    origin = boxes1[:, :2]
    boxes1 = torch.cat([torch.zeros_like(origin), boxes1[:, 2:]], 1)
    boxes2 = torch.cat([boxes2[:, :2] - origin, boxes2[:, 2:]], 1)
    return box_iou_rotated(boxes1, boxes2, mode=mode, aligned=True).clamp(0, 1)


def surrounding(boxes: Tensor) -> Tensor:
    """Smallest axis-parallel boxes around, ``(..., 5) -> (..., 4)`` of x1, y1, x2, y2."""
    w, h, angle = boxes[..., 2], boxes[..., 3], boxes[..., 4]
    cos, sin = angle.cos().abs(), angle.sin().abs()
    half = torch.stack([w * cos + h * sin, w * sin + h * cos], -1) / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


# MMRotate calls its own box type 'rbox', and a name can be taken only once.
@register_box('rotated')
class RotatedBoxes(BaseBoxes):
    """Rotated boxes, ``(..., 5)``; the convention is that of this module.

    A rotated box is not clipped at the border of an image: what is cut off is no rectangle.
    """

    box_dim = 5

    @property
    def centers(self) -> Tensor:
        return self.tensor[..., :2]

    @property
    def areas(self) -> Tensor:
        return self.tensor[..., 2] * self.tensor[..., 3]

    @property
    def widths(self) -> Tensor:
        return self.tensor[..., 2]

    @property
    def heights(self) -> Tensor:
        return self.tensor[..., 3]

    @property
    def corners(self) -> Tensor:
        """``(..., 4, 2)``, see :func:`corners_of`."""
        return corners_of(self.tensor)

    @property
    def polygons(self) -> List[np.ndarray]:
        """Polygons of 8 numbers, as MMOCR has them."""
        return list(self.corners.flatten(-2).cpu().numpy())

    def flip_(self, img_shape: Tuple[int, int], direction: str = 'horizontal') -> None:
        if direction not in ('horizontal', 'vertical', 'diagonal'):
            raise ValueError('direction must be one of horizontal, vertical, diagonal, got '
                             f'{direction!r}')
        x, y, w, h, angle = self.tensor.unbind(-1)
        if direction != 'vertical':
            x, angle = img_shape[1] - x, -angle
        if direction != 'horizontal':
            y, angle = img_shape[0] - y, -angle
        self.tensor = regularize(torch.stack([x, y, w, h, angle], -1))

    def translate_(self, distances: Tuple[float, float]) -> None:
        shift = self.tensor.new_tensor([*distances, 0, 0, 0])
        self.tensor = self.tensor + shift

    def clip_(self, img_shape: Tuple[int, int]) -> None:
        """Nothing: see the class."""

    def rotate_(self, center: Tuple[float, float], angle: float) -> None:
        """Rotate around ``center`` by ``angle`` degrees, clockwise."""
        radians = math.radians(angle)
        cos, sin = math.cos(radians), math.sin(radians)
        centre = self.tensor.new_tensor(center)
        offset = self.tensor[..., :2] - centre
        turned = torch.stack([cos * offset[..., 0] - sin * offset[..., 1],
                              sin * offset[..., 0] + cos * offset[..., 1]], -1) + centre
        self.tensor = regularize(torch.cat(
            [turned, self.tensor[..., 2:4], self.tensor[..., 4:] + radians], -1))

    def project_(self, homography_matrix: Union[Tensor, np.ndarray]) -> None:
        """Map the corners; a new box is the smallest around its own."""
        matrix = torch.as_tensor(homography_matrix).to(self.tensor)
        corners = self.corners
        corners = torch.cat([corners, torch.ones_like(corners[..., :1])], -1) @ matrix.T
        corners = corners[..., :2] / corners[..., 2:]
        boxes = polygons_to_rotated(list(corners.reshape(-1, 4, 2).cpu().numpy()))
        self.tensor = boxes.to(self.tensor).reshape(self.tensor.shape)

    def rescale_(self, scale_factor: Tuple[float, float]) -> None:
        """Scale x and y. If by different factors, a rectangle becomes a parallelogram; the new box
        has its centre, its long side and its area."""
        self._scale(scale_factor, self.tensor.new_tensor(scale_factor))

    def resize_(self, scale_factor: Tuple[float, float]) -> None:
        """As :meth:`rescale_`, but the centres stay where they are."""
        self._scale(scale_factor, 1)

    def _scale(self, scale_factor: Tuple[float, float], of_centre: Union[Tensor, int]) -> None:
        sx, sy = scale_factor
        centre, w, h, angle = self.tensor.split((2, 1, 1, 1), -1)
        x, y = sx * angle.cos(), sy * angle.sin()
        stretch = torch.hypot(x, y)
        self.tensor = regularize(torch.cat(
            [centre * of_centre, w * stretch, h * (sx * sy) / stretch, torch.atan2(y, x)], -1))

    def is_inside(self, img_shape: Tuple[int, int], all_inside: bool = False,
                  allowed_border: int = 0) -> Tensor:
        """Whether all corners are in the image, or else anything of the box around them."""
        return self.convert_to('hbox').is_inside(img_shape, all_inside, allowed_border)

    def find_inside_points(self, points: Tensor, is_aligned: bool = False) -> Tensor:
        boxes = self.tensor
        if boxes.dim() != 2:
            raise ValueError(f'boxes must be of shape (N, 5), got {tuple(boxes.shape)}')
        if not is_aligned:
            boxes, points = boxes[None], points[:, None]
        offset = points - boxes[..., :2]
        cos, sin = boxes[..., 4].cos(), boxes[..., 4].sin()
        along = cos * offset[..., 0] + sin * offset[..., 1]
        across = cos * offset[..., 1] - sin * offset[..., 0]
        return (along.abs() <= boxes[..., 2] / 2) & (across.abs() <= boxes[..., 3] / 2)

    @staticmethod
    def overlaps(boxes1: BaseBoxes, boxes2: BaseBoxes, mode: str = 'iou',
                 is_aligned: bool = False, eps: float = 1e-6) -> Tensor:
        """See :func:`rotated_overlaps`."""
        return rotated_overlaps(boxes1.convert_to('rotated').tensor,
                                boxes2.convert_to('rotated').tensor, mode, is_aligned)

    @staticmethod
    def from_instance_masks(masks: Union[BitmapMasks, PolygonMasks]) -> 'RotatedBoxes':
        """Smallest box around each instance; one without an area where there is nothing."""
        polygons = []
        for mask in masks.masks:
            parts = mask if isinstance(masks, PolygonMasks) else bitmap_to_polygon(mask)[0]
            points = [np.asarray(part, np.float32).reshape(-1, 2) for part in parts]
            polygons.append(np.concatenate(points) if points else np.zeros((3, 2)))
        return RotatedBoxes(polygons_to_rotated(
            [np.pad(p, ((0, max(0, 3 - len(p))), (0, 0)), 'edge') for p in polygons]))


@register_box_converter(HorizontalBoxes, RotatedBoxes)
def horizontal_to_rotated(boxes: Tensor) -> Tensor:
    """``(..., 4)``, x1, y1, x2, y2 ``-> (..., 5)``."""
    return regularize(torch.cat([HorizontalBoxes.xyxy_to_cxcywh(boxes),
                                 torch.zeros_like(boxes[..., :1])], -1))


@register_box_converter(RotatedBoxes, HorizontalBoxes)
def rotated_to_horizontal(boxes: Tensor) -> Tensor:
    """``(..., 5) -> (..., 4)``, the smallest axis-parallel boxes around them."""
    return surrounding(boxes)
