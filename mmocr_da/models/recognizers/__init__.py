"""Recognizers: images of two domains or two views in, losses or predictions out."""

from .adaptive_recognizer import AdaptiveRecognizer
from .seqclr import SeqCLR

__all__ = ['AdaptiveRecognizer', 'SeqCLR']
