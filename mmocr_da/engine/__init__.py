"""Training: a runner goes in; loops, hooks and schedules steer it and resume where it stopped."""

from .buffers_hook import SavedBuffersHook
from .checkpoint_fit_hook import CheckpointFitHook
from .ctc_fit_hook import CTCFitHook
from .encoder_hooks import EncoderExportHook, FreezeHook
from .finite_hook import FiniteHook
from .hooks import GateHook
from .label_check import LabelCheckHook
from .label_hook import LabelSubsetHook
from .loops import ResumableIterBasedTrainLoop
from .notes_hook import NotesHook
from .operators_hook import OperatorsHook
from .optim import GateOptimWrapperConstructor
from .painting_hook import PaintingHook
from .param_schedulers import InverseDecayLR, InverseDecayParamScheduler
from .representation_hook import RepresentationHook
from .settings_hook import SettingsHook
from .surrogate_hooks import SurrogateExportHook, SurrogateWatchHook

__all__ = [
    'CTCFitHook',
    'CheckpointFitHook',
    'EncoderExportHook',
    'FiniteHook',
    'FreezeHook',
    'GateHook',
    'GateOptimWrapperConstructor',
    'InverseDecayLR',
    'InverseDecayParamScheduler',
    'LabelCheckHook',
    'LabelSubsetHook',
    'NotesHook',
    'OperatorsHook',
    'PaintingHook',
    'RepresentationHook',
    'ResumableIterBasedTrainLoop',
    'SavedBuffersHook',
    'SettingsHook',
    'SurrogateExportHook',
    'SurrogateWatchHook',
]
