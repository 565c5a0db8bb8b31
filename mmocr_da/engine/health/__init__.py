"""Health of an adaptation. In: a model and held-out images. Out: measures, and what is wrong."""

from .diagnosis import Finding, diagnose
from .gradients import gradient_ratios
from .held_out import HeldOut, held_out_images
from .measuring import measure
from .report import report

__all__ = [
    'Finding',
    'HeldOut',
    'diagnose',
    'gradient_ratios',
    'held_out_images',
    'measure',
    'report',
]
