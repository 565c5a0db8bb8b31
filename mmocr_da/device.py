"""Numbers of the host on a device, without the host having to wait for what it has queued there."""
from functools import lru_cache
from typing import Optional, Sequence, Tuple, Union

import torch
from torch import Tensor


def on_device(values: Union[Sequence, Tensor], device: Union[str, torch.device, None],
              dtype: Optional[torch.dtype] = None) -> Tensor:
    """``torch.tensor(values, device=device, dtype=dtype)``, which would wait for a CUDA device.

    >>> on_device([1, 2], 'cpu')
    tensor([1, 2])
    """
    out = torch.as_tensor(values, dtype=dtype)
    if device is None or torch.device(device).type != 'cuda':
        return out.to(device)
    # Only from pinned memory a copy is queued like a kernel.
    return out.pin_memory().to(device, non_blocking=True)


def constant(values: Tuple[float, ...], like: Tensor) -> Tensor:
    """``like.new_tensor(values)``, copied to a device once. It must not be written to."""
    return _constant(tuple(values), like.device, like.dtype)


@lru_cache(maxsize=256)
def _constant(values: Tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # or no later backward pass could save it
        return on_device(values, device, dtype)
