"""Training: a runner goes in; loops, hooks and schedules steer it and resume where it stopped."""
from .encoder_hooks import EncoderExportHook, FreezeHook
from .hooks import GateHook
from .label_hook import LabelSubsetHook
from .loops import ResumableIterBasedTrainLoop
from .optim import GateOptimWrapperConstructor
from .param_schedulers import InverseDecayLR, InverseDecayParamScheduler
from .representation_hook import RepresentationHook
from .surrogate_hooks import SurrogateExportHook, SurrogateWatchHook

__all__ = [
    'EncoderExportHook', 'FreezeHook', 'GateHook', 'GateOptimWrapperConstructor', 'InverseDecayLR',
    'InverseDecayParamScheduler', 'LabelSubsetHook', 'RepresentationHook',
    'ResumableIterBasedTrainLoop', 'SurrogateExportHook', 'SurrogateWatchHook'
]
