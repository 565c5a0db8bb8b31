"""What is worth a word about images and labels, on its way from a worker to the log."""
import contextlib
from typing import Any, Iterator, List, Optional, Tuple

from mmengine.dataset import Compose
from mmengine.structures import BaseDataElement

Note = Tuple[str, str]

_collected: List[List[Note]] = []


def note(kind: str, what: str) -> None:
    """Remember that ``what``, an image path with or without details, is of this ``kind``."""
    if _collected:
        _collected[-1].append((kind, what))


@contextlib.contextmanager
def collect_notes() -> Iterator[List[Note]]:
    """The notes that are made within.

    >>> with collect_notes() as notes:
    ...     note('blank', 'a.png')
    >>> notes
    [('blank', 'a.png')]
    """
    _collected.append([])
    try:
        yield _collected[-1]
    finally:
        _collected.pop()


class NotingCompose(Compose):
    """A pipeline whose data samples carry the notes of their image, as the metainfo ``notes``.

    Its errors name the image.
    """

    def __call__(self, data: dict) -> Optional[dict]:
        path = data.get('img_path') if isinstance(data, dict) else data
        with collect_notes() as notes:
            try:
                data = super().__call__(data)
            except Exception as error:
                # Most transforms do not say with which image they failed.
                if isinstance(path, str):
                    error.add_note(f'This is in the pipeline of the image {path}')
                raise
        if notes and data is not None:
            for sample in data_samples_of(data):
                sample.set_metainfo(dict(notes=notes))
        return data


def data_samples_of(data: Any) -> Iterator[BaseDataElement]:
    """All data samples of an item or a batch, also those of several views."""
    if isinstance(data, dict):
        data = data.get('data_samples', data.values())
        yield from data_samples_of(list(data.values()) if isinstance(data, dict) else data)
    elif isinstance(data, BaseDataElement):
        yield data
    elif not isinstance(data, (str, bytes)) and not hasattr(data, '__array__') \
            and hasattr(data, '__iter__'):
        for element in data:
            yield from data_samples_of(element)
