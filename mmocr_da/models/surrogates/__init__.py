"""Learned metrics: predictions and labels go in, a differentiable distance comes out."""

from .box_pairs import BoxPairs
from .edit_distance import CharCNN, EditDistanceSurrogate, LSEDLoss
from .learned_surrogate import LearnedSurrogate, held
from .rotated_iou import LSIoULoss, RotatedIoUSurrogate
from .word_pairs import WordPairGenerator

__all__ = [
    'BoxPairs',
    'CharCNN',
    'EditDistanceSurrogate',
    'LSEDLoss',
    'LSIoULoss',
    'LearnedSurrogate',
    'RotatedIoUSurrogate',
    'WordPairGenerator',
    'held',
]
