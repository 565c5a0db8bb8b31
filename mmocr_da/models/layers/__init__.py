"""Layers: tensor in, tensor out, no knowledge of domains or batches."""
from .gradient_reversal import reverse_gradient

__all__ = ['reverse_gradient']
