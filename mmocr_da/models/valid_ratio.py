"""Which part of an image is no padding: the share of its width, and columns or steps of it."""

from collections.abc import Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


def valid_ratios(samples: Sequence[BaseDataElement]) -> Tensor:
    """Share of the width of each image that is no padding, ``(N,)`` float32 on the CPU.

    It is 1 for a data sample without the metainfo ``valid_ratio``.
    """
    return torch.tensor([float(s.get('valid_ratio', 1)) for s in samples])


def num_valid(ratio: Tensor, count: int) -> Tensor:
    """Number of ``count`` columns that show a given share of the width, ``(N,)``; 1 at least.

    >>> num_valid(torch.tensor([0.0, 0.4, 0.5, 1.0]), 5)
    tensor([1, 2, 3, 5])
    """
    # 0.4 * 5 in floating point must not become a third column.
    return (ratio * count - 1e-4).ceil().clamp(1, count).long()
