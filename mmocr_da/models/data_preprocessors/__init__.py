"""Data preprocessors: a list of images in, one normalised batch out."""
from .batched_preprocessor import BatchedTextRecogDataPreprocessor

__all__ = ['BatchedTextRecogDataPreprocessor']
