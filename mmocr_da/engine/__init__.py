"""Training: a runner goes in; loops, hooks and schedules steer it and resume where it stopped."""
from .loops import ResumableIterBasedTrainLoop

__all__ = ['ResumableIterBasedTrainLoop']
