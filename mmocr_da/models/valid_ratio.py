"""The part of an image that is not padding, as a share of its width or in columns."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmocr_da.device import on_device


class RatioSamples(Sequence[Any]):
    """Stands for the data samples of a batch of any size: only their ``valid_ratio`` is known.

    With it a decoder can be traced to a graph that takes the shares as an input. A loop over data
    samples would fix the size of the batch, and is an error.

    Args:
        valid_ratio: ``(N,)``, double, so that products with a width are those of Python.
    """

    def __init__(self, valid_ratio: Tensor) -> None:
        self.valid_ratio = valid_ratio

    def __len__(self) -> int:
        return len(self.valid_ratio)

    def __iter__(self) -> Iterator[Any]:
        return self[0]

    def __getitem__(self, index: Any) -> Any:
        raise TypeError('it looks at single data samples, which a graph does not have')


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


def valid_steps(ratio: Tensor, count: int) -> Tensor:
    """Mark which of ``count`` columns or steps are not padding, ``(N, count)`` bool.

    >>> valid_steps(torch.tensor([0.6, 1.0]), 4)
    tensor([[ True,  True,  True, False],
            [ True,  True,  True,  True]])
    """
    return torch.arange(count, device=ratio.device) < num_valid(ratio, count)[:, None]


def padded_columns(
    samples: Sequence[BaseDataElement] | RatioSamples, count: int, device: torch.device
) -> Tensor:
    """Mark which of ``count`` columns MMOCR masks as padding, ``(N, count)`` bool.

    They are those from column ``ceil(count * valid_ratio)`` on.

    >>> padded_columns(RatioSamples(torch.tensor([0.6, 1.0])), 4, torch.device('cpu'))
    tensor([[False, False, False,  True],
            [False, False, False, False]])
    """
    columns = torch.arange(count, device=device)
    if isinstance(samples, RatioSamples):
        return columns >= (samples.valid_ratio * count).ceil()[:, None]
    valid = [min(count, math.ceil(count * s.get('valid_ratio', 1.0))) for s in samples]
    return columns >= on_device(torch.tensor(valid, dtype=torch.long)[:, None], device)


def mean_over_valid(feature_map: Tensor, ratio: Tensor) -> Tensor:
    """Average a map ``(N, C, H, W)`` over the columns that are not padding, ``(N, C)``.

    >>> mean_over_valid(torch.tensor([[[[1.0, 3.0, 8.0]]]]), torch.tensor([0.6]))
    tensor([[2.]])
    """
    valid = valid_steps(ratio.to(feature_map.device), feature_map.size(-1)).to(feature_map)
    return (feature_map.mean(2) * valid[:, None]).sum(2) / valid.sum(1, keepdim=True)
