"""Copies numbers between the host and a device with as little waiting as possible."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def on_device(
    values: Sequence[Any] | Tensor,
    device: str | torch.device | None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """``torch.tensor(values, device=device, dtype=dtype)``, without waiting for a CUDA device.

    >>> on_device([1, 2], 'cpu')
    tensor([1, 2])
    """
    out = torch.as_tensor(values, dtype=dtype)
    if device is None or torch.device(device).type != 'cuda' or out.is_cuda:
        return out.to(device)
    # Only a copy from pinned memory is queued like a kernel.
    return out.pin_memory().to(device, non_blocking=True)


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """``like.new_tensor(values)``, copied to a device once and shared: do not write to it."""
    return _constant(tuple(values), like.device, like.dtype)


@lru_cache(maxsize=256)
def _constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # or no later backward pass could save it
        return on_device(values, device, dtype)


def on_host(*masks: Tensor) -> list[Tensor]:
    """Copy boolean tensors to the host, which waits once for all of them.

    >>> on_host(torch.tensor([True, False]), torch.tensor([[True]]))
    [tensor([ True, False]), tensor([[True]])]
    """
    flat = torch.cat([mask.flatten() for mask in masks]).cpu()
    parts = flat.split([mask.numel() for mask in masks])
    return [part.view(mask.shape) for part, mask in zip(parts, masks)]


def marked(x: Tensor, mask: Tensor) -> Tensor:
    """``x[mask]`` for a mask on the host, ``(N, T, ...), (N, T) -> (M, ...)``.

    With a mask on a device, the host would have to wait for it to know ``M``.

    >>> marked(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[True, False], [True, True]]))
    tensor([1, 3, 4])
    """
    rows = on_device(mask.flatten().nonzero().flatten(), x.device)
    return x.flatten(0, mask.dim() - 1).index_select(0, rows)
