"""The part of an image that is not padding, as a share of its width or in columns."""

from collections.abc import Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


def valid_ratios(samples: Sequence[BaseDataElement]) -> Tensor:
    """Return the share of the width of each image that is not padding, ``(N,)`` on the CPU.

    The share is 1 for a data sample without the metainfo ``valid_ratio``.
    """
    return torch.tensor([float(s.get('valid_ratio', 1)) for s in samples])


def num_valid(ratio: Tensor, count: int) -> Tensor:
    """Convert shares of the width to numbers of ``count`` columns, ``(N,)``, at least 1.

    >>> num_valid(torch.tensor([0.0, 0.4, 0.5, 1.0]), 5)
    tensor([1, 2, 3, 5])
    """
    # Rounding errors of 0.4 * 5 must not add a third column.
    return (ratio * count - 1e-4).ceil().clamp(1, count).long()
