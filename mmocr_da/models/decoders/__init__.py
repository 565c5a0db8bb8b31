"""Decoders and the tap: encoder output in, logits and per-character features out."""
from .attention_decoder import AttentionDecoder
from .character_features import CharacterFeatures, CharacterTap, supported_decoders

__all__ = ['AttentionDecoder', 'CharacterFeatures', 'CharacterTap', 'supported_decoders']
