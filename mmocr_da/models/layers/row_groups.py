"""Which rows (images) of a batch are normalized together: all of them, or each domain's."""

from functools import cached_property

import torch
from torch import Tensor


class WholeBatch:
    """All rows in one group.

    Numbers per row are ``(N, C)``, numbers per group ``(G, C)``; here ``G`` is 1.
    """

    def expand(self, per_group: Tensor) -> Tensor:
        """``(G, C)`` to the rows of the batch: ``(N, C)``, or ``(1, C)`` if all are equal."""
        return per_group

    def sum(self, per_row: Tensor) -> Tensor:
        """``(N, C)`` summed within each group, ``(G, C)``, in an order that does not vary."""
        return per_row.sum(0, keepdim=True)

    def mean(self, per_row: Tensor) -> Tensor:
        """Mean of ``(N, C)`` within each group, ``(G, C)``; 0 for a group without rows."""
        return per_row.mean(0, keepdim=True) if len(per_row) else self.sum(per_row)

    def total(self, per_group: Tensor) -> Tensor:
        """``(G, C)`` summed over the groups, ``(C,)``."""
        return per_group[0]

    def sizes(self, per_row: Tensor) -> int | Tensor:
        """The number of rows of each group, as a number or ``(G, 1)``."""
        return len(per_row)


class RowGroups(WholeBatch):
    """Rows in groups that are given.

    Args:
        group_of_row: The group of each row, ``(N,)``, integers from 0.
        counts: The number of rows of each group.
    """

    def __init__(self, group_of_row: Tensor, counts: tuple[int, ...]) -> None:
        self.group_of_row = group_of_row
        self.counts = counts

    @cached_property
    def _is_member(self) -> Tensor:
        """1 where a row is of a group, ``(G, N, 1)`` float32; made once for all layers."""
        groups = torch.arange(len(self.counts), device=self.group_of_row.device)
        return (self.group_of_row == groups[:, None]).float()[..., None]

    @cached_property
    def _sizes(self) -> Tensor:
        """:attr:`counts` on the device of the rows, ``(G, 1)`` float32."""
        return self._is_member.sum(1)

    def expand(self, per_group: Tensor) -> Tensor:
        return per_group[self.group_of_row]

    def sum(self, per_row: Tensor) -> Tensor:
        return (self._is_member * per_row).sum(1)

    def mean(self, per_row: Tensor) -> Tensor:
        return self.sum(per_row) / at_least_one(self._sizes)

    def total(self, per_group: Tensor) -> Tensor:
        return per_group.sum(0)

    def sizes(self, per_row: Tensor) -> int | Tensor:
        return self._sizes


def at_least_one(number: int | Tensor) -> int | Tensor:
    """A divisor for the sum of that many numbers, which is 0 where there are none."""
    return number.clamp(min=1) if isinstance(number, Tensor) else max(number, 1)
