"""Encoders: feature map ``(N, C, H, W)`` in, sequence ``(N, T, F)`` out."""

from .bilstm_encoder import BiLSTMEncoder
from .feature_map import as_feature_map

__all__ = ['BiLSTMEncoder', 'as_feature_map']
