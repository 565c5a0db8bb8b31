"""Rotated boxes as a box type of MMDetection, which has only axis-parallel boxes itself."""

import math
from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import (
    BaseBoxes,
    HorizontalBoxes,
    register_box,
    register_box_converter,
)
from mmdet.structures.mask import BitmapMasks, PolygonMasks, bitmap_to_polygon
from numpy.typing import NDArray
from torch import Tensor

from .geometry import corners_of, polygons_to_rotated, regularize, rotate, surrounding
from .overlaps import rotated_overlaps


# MMRotate calls its own box type 'rbox', and a name can be taken only once.
@register_box('rotated')
class RotatedBoxes(BaseBoxes):
    """Rotated boxes, ``(..., 5)``; for the convention see :mod:`.geometry`.

    Rotated boxes are not clipped at the border of an image, as the rest would not be a rectangle.
    """

    box_dim = 5
    tensor: Tensor  # of the base class, which mypy does not see

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
        """Corners, ``(..., 4, 2)``, see :func:`corners_of`."""
        return corners_of(self.tensor)

    @property
    def polygons(self) -> list[NDArray[np.float32]]:
        """Return polygons of 8 numbers, the format of MMOCR."""
        return list(self.corners.flatten(-2).cpu().numpy())

    def flip_(self, img_shape: tuple[int, int], direction: str = 'horizontal') -> None:
        if direction not in ('horizontal', 'vertical', 'diagonal'):
            raise ValueError(
                f'direction must be one of horizontal, vertical, diagonal, got {direction!r}'
            )
        x, y, w, h, angle = self.tensor.unbind(-1)
        if direction != 'vertical':
            x, angle = img_shape[1] - x, -angle
        if direction != 'horizontal':
            y, angle = img_shape[0] - y, -angle
        self.tensor = regularize(torch.stack([x, y, w, h, angle], -1))

    def translate_(self, distances: tuple[float, float]) -> None:
        x, y, *rest = self.tensor.unbind(-1)
        self.tensor = torch.stack([x + distances[0], y + distances[1], *rest], -1)

    def clip_(self, img_shape: tuple[int, int]) -> None:
        """Do nothing: see the class."""

    def rotate_(self, center: tuple[float, float], angle: float) -> None:
        """Rotate around ``center`` by ``angle`` degrees, clockwise."""
        x, y, w, h, own = self.tensor.unbind(-1)
        radians = self.tensor.new_full((), math.radians(angle))
        x, y = rotate(torch.stack([x - center[0], y - center[1]], -1), radians).unbind(-1)
        self.tensor = regularize(
            torch.stack([x + center[0], y + center[1], w, h, own + radians], -1)
        )

    def project_(self, homography_matrix: Tensor | NDArray[Any]) -> None:
        """Map the corners; each new box is the smallest one around its mapped corners."""
        matrix = torch.as_tensor(homography_matrix).to(self.tensor)
        corners = self.corners
        corners = torch.cat([corners, torch.ones_like(corners[..., :1])], -1) @ matrix.T
        corners = corners[..., :2] / corners[..., 2:]
        boxes = polygons_to_rotated(list(corners.reshape(-1, 4, 2).cpu().numpy()))
        self.tensor = boxes.to(self.tensor).reshape(self.tensor.shape)

    def rescale_(self, scale_factor: tuple[float, float]) -> None:
        """Scale x and y.

        Different factors turn a rectangle into a parallelogram; the new box has its centre, its
        long side and its area.
        """
        self._scale(scale_factor, scale_factor)

    def resize_(self, scale_factor: tuple[float, float]) -> None:
        """Scale the sizes as :meth:`rescale_`; the centres do not move."""
        self._scale(scale_factor, (1, 1))

    def _scale(self, scale_factor: tuple[float, float], of_centre: tuple[float, float]) -> None:
        sx, sy = scale_factor
        cx, cy, w, h, angle = self.tensor.unbind(-1)
        x, y = sx * angle.cos(), sy * angle.sin()
        stretch = torch.hypot(x, y)
        self.tensor = regularize(
            torch.stack(
                [
                    cx * of_centre[0],
                    cy * of_centre[1],
                    w * stretch,
                    h * (sx * sy) / stretch,
                    torch.atan2(y, x),
                ],
                -1,
            )
        )

    def is_inside(
        self, img_shape: tuple[int, int], all_inside: bool = False, allowed_border: int = 0
    ) -> Tensor:
        """Whether all corners are in the image, or any part of the surrounding box.

        ``all_inside`` selects the first test.
        """
        return self.convert_to('hbox').is_inside(img_shape, all_inside, allowed_border)

    def find_inside_points(self, points: Tensor, is_aligned: bool = False) -> Tensor:
        boxes = self.tensor
        if boxes.dim() != 2:
            raise ValueError(f'boxes must be of shape (N, 5), got {tuple(boxes.shape)}')
        if not is_aligned:
            boxes, points = boxes[None], points[:, None]
        offset = rotate(points - boxes[..., :2], -boxes[..., 4])
        return (offset.abs() <= boxes[..., 2:4] / 2).all(-1)

    @staticmethod
    def overlaps(
        boxes1: BaseBoxes,
        boxes2: BaseBoxes,
        mode: str = 'iou',
        is_aligned: bool = False,
        eps: float = 1e-6,
    ) -> Tensor:
        """See :func:`rotated_overlaps`."""
        return rotated_overlaps(
            boxes1.convert_to('rotated').tensor,
            boxes2.convert_to('rotated').tensor,
            mode,
            is_aligned,
        )

    @staticmethod
    def from_instance_masks(masks: BitmapMasks | PolygonMasks) -> 'RotatedBoxes':
        """Return the smallest box around each instance, without area for an empty instance."""
        polygons = []
        for mask in masks.masks:
            parts = mask if isinstance(masks, PolygonMasks) else bitmap_to_polygon(mask)[0]
            points = [np.asarray(part, np.float32).reshape(-1, 2) for part in parts]
            polygons.append(np.concatenate(points) if points else np.zeros((3, 2)))
        return RotatedBoxes(
            polygons_to_rotated(
                [np.pad(p, ((0, max(0, 3 - len(p))), (0, 0)), 'edge') for p in polygons]
            )
        )


@register_box_converter(HorizontalBoxes, RotatedBoxes)
def horizontal_to_rotated(boxes: Tensor) -> Tensor:
    """Convert boxes ``(..., 4)`` (x1, y1, x2, y2) to rotated boxes ``(..., 5)``."""
    return regularize(
        torch.cat([HorizontalBoxes.xyxy_to_cxcywh(boxes), torch.zeros_like(boxes[..., :1])], -1)
    )


@register_box_converter(RotatedBoxes, HorizontalBoxes)
def rotated_to_horizontal(boxes: Tensor) -> Tensor:
    """Convert rotated boxes to surrounding axis-parallel boxes, ``(..., 5) -> (..., 4)``."""
    return surrounding(boxes)
