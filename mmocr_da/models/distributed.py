"""Sums and means over processes, so that DDP's gradients equal the gradients of one process."""

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def sum_per_rank(weight: Tensor) -> Tensor:
    """Return the sum of the weights of all ranks, divided by the number of ranks.

    DDP averages gradients. A rank that divides by this number instead of its own sum gives the
    gradients of one process with the whole batch, however unevenly the weights are spread.
    """
    total = weight.detach().sum()
    all_reduce(total)
    return total / get_world_size()


def mean_over_ranks(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return this rank's share of the mean of all ranks' ``(M,)`` values; 0 without values.

    The results and their gradients, averaged over ranks, equal the ones of a single process.

    Args:
        values: The values of this rank. All ranks must call this, also without values.
        counted: ``(M,)`` bool, which values count; the others must be 0. By default all count.

    >>> import torch
    >>> mean_over_ranks(torch.tensor([1., 0., 3.]), torch.tensor([True, False, True]))
    tensor(2.)
    """
    count = values.new_full((), len(values)) if counted is None else counted.sum().to(values)
    return values.sum() / sum_per_rank(count).clamp(min=1e-12)


def mean_of_rank(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return the mean over this rank alone, without waiting; see :func:`mean_over_ranks`."""
    count = max(len(values), 1) if counted is None else counted.sum().clamp(min=1)
    return values.sum() / count
