"""Recognizers: images of one or two domains in, losses or readings out."""
from .adaptive_recognizer import AdaptiveRecognizer

__all__ = ['AdaptiveRecognizer']
