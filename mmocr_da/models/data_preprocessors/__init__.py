"""Data preprocessors: images as they were loaded go in, a normalised batch comes out."""

from .batched_preprocessor import BatchedTextRecogDataPreprocessor
from .multi_view_preprocessor import MultiViewTextRecogDataPreprocessor

__all__ = ['BatchedTextRecogDataPreprocessor', 'MultiViewTextRecogDataPreprocessor']
