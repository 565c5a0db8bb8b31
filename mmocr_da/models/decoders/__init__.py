"""Decoders and the tap: encoder output in, logits and per-character features out."""

from .attention_decoder import AttentionDecoder
from .character_decoder import CharacterDecoder
from .character_features import CharacterFeatures, CharacterTap, supported_decoders
from .free_reading import FreeReading, read_freely

__all__ = [
    'AttentionDecoder',
    'CharacterDecoder',
    'CharacterFeatures',
    'CharacterTap',
    'FreeReading',
    'read_freely',
    'supported_decoders',
]
