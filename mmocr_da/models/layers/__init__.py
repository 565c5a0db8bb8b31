"""Layers: tensor in, tensor out, no knowledge of domains or batches."""
from .gradient_reversal import GradientReversal, reverse_gradient

__all__ = ['GradientReversal', 'reverse_gradient']
