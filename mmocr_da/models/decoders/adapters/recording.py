"""Records what parts of a decoder compute while it decodes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def recorded(module: nn.Module, what: Callable[[Any, Any], Any]) -> Iterator[list[Any]]:
    """Yield a list, to which each call of a module within the block appends.

    Args:
        module: A part of a decoder.
        what: What is kept of a call, from its inputs and its output.

    >>> layer = nn.Identity()
    >>> with recorded(layer, lambda inputs, output: inputs[0] + output) as sums:
    ...     _ = layer(1), layer(2)
    >>> layer(3), sums
    (3, [2, 4])
    """
    found: list[Any] = []
    handle = module.register_forward_hook(
        lambda _, inputs, output: found.append(what(inputs, output))
    )
    try:
        yield found
    finally:
        handle.remove()
