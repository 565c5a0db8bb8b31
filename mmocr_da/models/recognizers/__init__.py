"""Recognizers: images of one or two domains, or two views of them, in; losses or readings out."""

from .adaptive_recognizer import AdaptiveRecognizer
from .seqclr import SeqCLR

__all__ = ['AdaptiveRecognizer', 'SeqCLR']
