"""Annotations: converts polygons to boxes for transforms and heads."""

from .geometry import corners_of, polygons_to_rotated, regularize, rotate, surrounding
from .overlaps import may_overlap, rotated_iou, rotated_overlaps
from .rotated_boxes import RotatedBoxes

__all__ = [
    'RotatedBoxes',
    'corners_of',
    'may_overlap',
    'polygons_to_rotated',
    'regularize',
    'rotate',
    'rotated_iou',
    'rotated_overlaps',
    'surrounding',
]
