"""Training: loops, hooks and schedules that steer a run and resume it where it stopped."""

from .hooks import *  # noqa: F401,F403
from .loops import ResumableIterBasedTrainLoop
from .optim import BINGateOptimWrapperConstructor
from .param_schedulers import InverseDecayLR, InverseDecayParamScheduler

__all__ = [
    'BINGateOptimWrapperConstructor',
    'InverseDecayLR',
    'InverseDecayParamScheduler',
    'ResumableIterBasedTrainLoop',
]
