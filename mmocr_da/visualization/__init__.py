"""Pictures. In: weights of a checkpoint, or pairs of numbers. Out: a figure in a file."""

from .gates import gates_of, plot_gates
from .pictures import add_picture_arguments, check_picture, save_picture
from .surrogate import plot_quality

__all__ = [
    'add_picture_arguments',
    'check_picture',
    'gates_of',
    'plot_gates',
    'plot_quality',
    'save_picture',
]
