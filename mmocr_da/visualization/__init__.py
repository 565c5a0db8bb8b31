"""Pictures: a checkpoint or a log goes in, a figure comes out."""
from .gates import gates_of, plot_gates
from .surrogate import plot_quality

__all__ = ['gates_of', 'plot_gates', 'plot_quality']
