"""Learned metrics: predictions and labels go in, a differentiable distance comes out."""

from .box_pairs import BoxPairs
from .edit_distance import CharCNN, EditDistanceSurrogate
from .learned_surrogate import LearnedSurrogate
from .rotated_iou import RotatedIoUSurrogate
from .word_pairs import WordPairGenerator

__all__ = [
    'BoxPairs',
    'CharCNN',
    'EditDistanceSurrogate',
    'LearnedSurrogate',
    'RotatedIoUSurrogate',
    'WordPairGenerator',
]
