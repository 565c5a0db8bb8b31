"""Decoders and their adapters: encoder output in, logits and features of characters out."""

from .adapters import DecoderAdapter, adapter_of, character_decoders, register_adapter
from .attention_decoder import AttentionDecoder
from .character_decoder import CharacterDecoder
from .character_features import AttendedSteps, CharacterFeatures, GreedyPrediction
from .fast_decoding import decode_fast
from .prediction_details import keeping_details

__all__ = [
    'AttendedSteps',
    'AttentionDecoder',
    'CharacterDecoder',
    'CharacterFeatures',
    'DecoderAdapter',
    'GreedyPrediction',
    'adapter_of',
    'character_decoders',
    'decode_fast',
    'keeping_details',
    'register_adapter',
]
