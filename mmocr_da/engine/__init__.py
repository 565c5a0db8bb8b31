"""Training: a runner goes in; loops, hooks and schedules steer it and resume where it stopped."""
from .hooks import GateHook
from .loops import ResumableIterBasedTrainLoop
from .optim import GateOptimWrapperConstructor
from .param_schedulers import InverseDecayLR, InverseDecayParamScheduler

__all__ = [
    'GateHook', 'GateOptimWrapperConstructor', 'InverseDecayLR', 'InverseDecayParamScheduler',
    'ResumableIterBasedTrainLoop'
]
