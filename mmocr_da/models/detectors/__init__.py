"""Detectors: images of two domains in, losses or predictions out; and rotated two-stage parts."""

from .adaptive_text_detector import AdaptiveTextDetector, adaptive_text_detector
from .angle_max_iou_assigner import AngleMaxIoUAssigner
from .delta_xywht_bbox_coder import DeltaXYWHTBBoxCoder
from .rotated_anchor_generator import RotatedAnchorGenerator
from .rotated_mmdet_wrapper import RotatedMMDetWrapper
from .rotated_overlaps import RotatedOverlaps
from .rotated_roi_extractor import RotatedRoIExtractor

__all__ = [
    'AdaptiveTextDetector',
    'AngleMaxIoUAssigner',
    'DeltaXYWHTBBoxCoder',
    'RotatedAnchorGenerator',
    'RotatedMMDetWrapper',
    'RotatedOverlaps',
    'RotatedRoIExtractor',
    'adaptive_text_detector',
]
