"""Pictures. In: weights of a checkpoint, numbers, or predictions. Out: a figure or page."""

from .adaptation_page import check_page, write_page
from .gates import gates_of, plot_gates
from .pictures import add_picture_arguments, check_picture, save_picture
from .sheet import prediction_sheet
from .surrogate import plot_quality

__all__ = [
    'add_picture_arguments',
    'check_page',
    'check_picture',
    'gates_of',
    'plot_gates',
    'plot_quality',
    'prediction_sheet',
    'save_picture',
    'write_page',
]
