"""Freezes the parameters and running statistics of a model during a forward pass."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from mmocr_da.compat import no_grad


@contextmanager
def frozen(model: nn.Module, but: Iterable[nn.Module] = ()) -> Iterator[None]:
    """Freeze a model within the block: no gradients, and buffers are restored at the end.

    Args:
        model: Its mode (training or evaluation) is not changed.
        but: Parts that keep changes of their buffers. Gradients are off for them, too, unless they
            enable them.
    """
    learning = {id(buffer) for part in but for buffer in part.buffers()}
    kept = [(b, b.clone()) for b in model.buffers() if id(b) not in learning]
    try:
        with no_grad():
            yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode within the block, each module back in its own at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
