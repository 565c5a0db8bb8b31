"""Learned metrics: predictions and labels go in, a differentiable distance comes out."""
from .edit_distance import CharCNN, EditDistanceSurrogate, LSEDLoss
from .learned_surrogate import LearnedSurrogate
from .word_pairs import WordPairGenerator

__all__ = ['CharCNN', 'EditDistanceSurrogate', 'LSEDLoss', 'LearnedSurrogate', 'WordPairGenerator']
