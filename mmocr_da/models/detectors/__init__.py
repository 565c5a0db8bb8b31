"""Parts of MMDetection's two-stage detectors for rotated text, with boxes ``(N, 5)``."""

from .angle_max_iou_assigner import AngleMaxIoUAssigner
from .delta_xywht_bbox_coder import DeltaXYWHTBBoxCoder
from .rotated_anchor_generator import RotatedAnchorGenerator
from .rotated_mmdet_wrapper import RotatedMMDetWrapper
from .rotated_overlaps import RotatedOverlaps
from .rotated_roi_extractor import RotatedRoIExtractor

__all__ = [
    'AngleMaxIoUAssigner',
    'DeltaXYWHTBBoxCoder',
    'RotatedAnchorGenerator',
    'RotatedMMDetWrapper',
    'RotatedOverlaps',
    'RotatedRoIExtractor',
]
