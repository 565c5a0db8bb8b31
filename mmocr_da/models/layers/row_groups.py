"""Groups of rows (images) of a batch that are normalized together: all, or each domain."""

from functools import cached_property

import torch
from torch import Tensor


class WholeBatch:
    """All rows in one group.

    Numbers per row are ``(N, C)``, numbers per group ``(G, C)``; here ``G`` is 1.
    """

    def expand(self, per_group: Tensor) -> Tensor:
        """Expand ``(G, C)`` to the rows of the batch: ``(N, C)``, or ``(1, C)`` for one group."""
        return per_group

    def sum(self, per_row: Tensor) -> Tensor:
        """Sum ``(N, C)`` within each group, ``(G, C)``, in a deterministic order."""
        return per_row.sum(0, keepdim=True)

    def mean(self, per_row: Tensor) -> Tensor:
        """Average ``(N, C)`` within each group, ``(G, C)``; 0 for a group without rows."""
        return per_row.mean(0, keepdim=True) if len(per_row) else self.sum(per_row)

    def total(self, per_group: Tensor) -> Tensor:
        """Sum ``(G, C)`` over the groups, ``(C,)``."""
        return per_group[0]

    def sizes(self, per_row: Tensor) -> int | Tensor:
        """Return the number of rows of each group, as a number or ``(G, 1)``."""
        return len(per_row)


class RowGroups(WholeBatch):
    """Rows in given groups.

    Args:
        group_of_row: The group of each row, ``(N,)``, integers from 0.
        counts: The number of rows of each group.
    """

    def __init__(self, group_of_row: Tensor, counts: tuple[int, ...]) -> None:
        self.group_of_row = group_of_row
        self.counts = counts

    @cached_property
    def _is_member(self) -> Tensor:
        """1 if a row belongs to a group, ``(G, N, 1)`` float32; computed once for all layers."""
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
    """Replace 0 by 1 in the count of a sum, so that the sum can be divided by it."""
    return number.clamp(min=1) if isinstance(number, Tensor) else max(number, 1)
