"""Contrast: frames of two views of the same images in, one loss out (SeqCLR, section 4)."""

from .instance_mappings import AllToInstance, FrameToInstance, WindowToInstance
from .nt_xent import NTXentLoss, nt_xent
from .projection_heads import BiLSTMProjection, MLPProjection

__all__ = [
    'AllToInstance',
    'BiLSTMProjection',
    'FrameToInstance',
    'MLPProjection',
    'NTXentLoss',
    'WindowToInstance',
    'nt_xent',
]
