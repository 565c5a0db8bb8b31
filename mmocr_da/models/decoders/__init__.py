"""Decoders and the tap: encoder output in, logits and per-character features out."""
from .attention_decoder import AttentionDecoder
from .character_decoder import CharacterDecoder
from .character_features import CharacterFeatures, CharacterTap, supported_decoders

__all__ = [
    'AttentionDecoder', 'CharacterDecoder', 'CharacterFeatures', 'CharacterTap',
    'supported_decoders'
]
