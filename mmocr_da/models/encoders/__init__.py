"""Encoders: feature map in, sequence out."""
from .bilstm_encoder import BiLSTMEncoder

__all__ = ['BiLSTMEncoder']
