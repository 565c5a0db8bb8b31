"""Detectors: images of two domains in, losses or predictions out; and rotated two-stage parts."""

from .adaptive_text_detector import AdaptiveTextDetector, adaptive_text_detector
from .angle_max_iou_assigner import AngleMaxIoUAssigner
from .balanced_heads import BalancedBBoxHead, BalancedRPNHead
from .delta_xywht_bbox_coder import DeltaXYWHTBBoxCoder
from .rotated_anchor_generator import RotatedAnchorGenerator
from .rotated_mmdet_wrapper import RotatedMMDetWrapper, SurrogateMMDetWrapper
from .rotated_overlaps import RotatedOverlaps
from .rotated_roi_extractor import RotatedRoIExtractor

__all__ = [
    'AdaptiveTextDetector',
    'AngleMaxIoUAssigner',
    'BalancedBBoxHead',
    'BalancedRPNHead',
    'DeltaXYWHTBBoxCoder',
    'RotatedAnchorGenerator',
    'RotatedMMDetWrapper',
    'RotatedOverlaps',
    'RotatedRoIExtractor',
    'SurrogateMMDetWrapper',
    'adaptive_text_detector',
]
