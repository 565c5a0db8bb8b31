"""Data preprocessors: loaded images in, one normalized batch out."""

from .batched_preprocessor import BatchedTextRecogDataPreprocessor
from .multi_view_preprocessor import MultiViewTextRecogDataPreprocessor

__all__ = ['BatchedTextRecogDataPreprocessor', 'MultiViewTextRecogDataPreprocessor']
