"""Annotations as data: polygons go in, boxes that transforms and heads understand come out."""
from .rotated_boxes import (
    RotatedBoxes,
    corners_of,
    may_overlap,
    polygons_to_rotated,
    regularize,
    rotated_overlaps,
)

__all__ = [
    'RotatedBoxes', 'corners_of', 'may_overlap', 'polygons_to_rotated', 'regularize',
    'rotated_overlaps'
]
