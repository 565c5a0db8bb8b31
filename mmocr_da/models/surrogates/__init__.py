"""Learned metrics: predictions and labels in, differentiable distances ``(N,)`` out."""

from .box_pairs import StoredBoxPairs
from .edit_distance import CharCNN, EditDistanceSurrogate
from .learned_surrogate import LearnedSurrogate
from .rotated_iou import RotatedIoUSurrogate
from .word_pairs import WordPairGenerator

__all__ = [
    'StoredBoxPairs',
    'CharCNN',
    'EditDistanceSurrogate',
    'LearnedSurrogate',
    'RotatedIoUSurrogate',
    'WordPairGenerator',
]
