"""Annotations that are made when they are asked for, for datasets of millions of images."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Annotation = dict[str, Any]


class LazyList(Sequence[Annotation]):
    """A ``data_list`` of MMEngine's datasets that keeps the number of each image alone.

    It is for datasets with ``serialize_data=False``: there is nothing to serialize. A slice, or an
    array of indexes, gives a lazy list.

    Args:
        make: Makes the annotation of the image with a number.
        numbers: Of the images, in the order of the list.

    >>> items = LazyList(lambda number: dict(img_key=f'image-{number}'), range(1, 10**9))
    >>> len(items), items[-1], items[2:][[0, 1]].numbers
    (999999999, {'img_key': 'image-999999999'}, array([3, 4]))
    """

    def __init__(self, make: Callable[[int], Annotation], numbers: range | NDArray[Any]) -> None:
        self.make = make
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return LazyList(self.make, self.numbers[index])
        if isinstance(index, (int, np.integer)):
            return self.make(int(self.numbers[index]))
        return LazyList(self.make, _chosen(self.numbers, np.asarray(index, dtype=np.intp)))

    def __deepcopy__(self, memo: dict[int, Any]) -> 'LazyList':
        """Return the list itself, which nothing changes: a copy of ``make`` copies its dataset."""
        return self


def _chosen(numbers: range | NDArray[Any], index: NDArray[Any]) -> NDArray[Any]:
    """The numbers at some indexes, without a list of all."""
    if not isinstance(numbers, range):
        return numbers[index]
    size = len(numbers)
    if ((index < -size) | (index >= size)).any():
        raise IndexError(f'indexes must be below {size}, the number of images, got {index}')
    return numbers.start + numbers.step * np.where(index < 0, index + size, index)


def stratified(size: int, most: int) -> Sequence[int]:
    """Choose at most ``most`` of ``size`` indexes, one at random of each of equal parts.

    The choice is the same in every run. It does not follow a period of the data, as every hundredth
    image would.

    >>> list(stratified(3, 5)), [index // 100 for index in stratified(500, 5)]
    ([0, 1, 2], [0, 1, 2, 3, 4])
    """
    if size <= most:
        return range(size)
    ends = np.arange(most + 1, dtype=np.int64) * size // most
    chosen: list[int] = np.random.default_rng(0).integers(ends[:-1], ends[1:]).tolist()
    return chosen
