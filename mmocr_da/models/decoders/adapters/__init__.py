"""Adapters: one file per decoder, with all its code that the rest of the package uses."""

from .abinet import ABIFuserAdapter, ABIVisionAdapter
from .adapter import (
    CHARACTER_FEATURES,
    DecoderAdapter,
    adapter_of,
    character_decoders,
    register_adapter,
)
from .aster import ASTERAdapter
from .attention import AttentionAdapter
from .character import CharacterAdapter
from .crnn import CRNNAdapter
from .ctc import CTCAdapter
from .master import MasterAdapter
from .nrtr import NRTRAdapter
from .recurrent import RecurrentAdapter
from .robust_scanner import RobustScannerAdapter
from .sar import ParallelSARAdapter, SARAdapter, SequentialSARAdapter
from .steps import StepAdapter
from .svtr import SVTRAdapter
from .transformer import TransformerAdapter

__all__ = [
    'CHARACTER_FEATURES',
    'ABIFuserAdapter',
    'ABIVisionAdapter',
    'ASTERAdapter',
    'AttentionAdapter',
    'CRNNAdapter',
    'CTCAdapter',
    'CharacterAdapter',
    'DecoderAdapter',
    'MasterAdapter',
    'NRTRAdapter',
    'ParallelSARAdapter',
    'RecurrentAdapter',
    'RobustScannerAdapter',
    'SARAdapter',
    'SVTRAdapter',
    'SequentialSARAdapter',
    'StepAdapter',
    'TransformerAdapter',
    'adapter_of',
    'character_decoders',
    'register_adapter',
]
