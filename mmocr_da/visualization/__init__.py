"""Pictures: a checkpoint or a log goes in, a figure comes out."""
from .gates import gates_of, plot_gates

__all__ = ['gates_of', 'plot_gates']
