"""Contrastive learning (SeqCLR, section 4): frames of two views of images in, loss out."""

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
