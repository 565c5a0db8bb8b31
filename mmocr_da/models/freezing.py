"""A model whose parameters and running statistics stay as they are for a while."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from mmocr_da.compat import no_grad


@contextmanager
def frozen(model: nn.Module, but: Iterable[nn.Module] = ()) -> Iterator[None]:
    """Within it a model learns nothing, neither parameters nor buffers.

    Args:
        model: It stays in the mode it is in; buffers that a forward pass changes are restored.
        but: Parts whose buffers keep their changes.
    """
    learning = {id(buffer) for part in but for buffer in part.buffers()}
    kept = [(b, b.clone()) for b in model.buffers() if id(b) not in learning]
    try:
        with no_grad():
            yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
