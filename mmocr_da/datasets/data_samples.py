"""Finds the data samples in an item of a pipeline or in a batch of a dataloader."""

from collections.abc import Iterator
from typing import Any

from mmengine.structures import BaseDataElement


def data_samples_of(data: Any) -> Iterator[BaseDataElement]:
    """Yield all data samples of an item or a batch, of every view."""
    if isinstance(data, dict):
        data = data.get('data_samples', data.values())
        yield from data_samples_of(list(data.values()) if isinstance(data, dict) else data)
    elif isinstance(data, BaseDataElement):
        yield data
    elif (
        not isinstance(data, (str, bytes))
        and not hasattr(data, '__array__')
        and hasattr(data, '__iter__')
    ):
        for element in data:
            yield from data_samples_of(element)
