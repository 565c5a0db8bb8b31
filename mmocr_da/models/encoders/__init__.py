"""Encoders: feature map in, sequence out."""

from .bilstm_encoder import BiLSTMEncoder
from .feature_map import as_feature_map

__all__ = ['BiLSTMEncoder', 'as_feature_map']
