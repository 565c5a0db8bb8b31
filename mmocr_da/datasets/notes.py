"""Notes about images and labels, such as "blank", on their way from a worker to the log.

A transform makes a note; the data sample of the image carries it to the main process as the
metainfo ``notes``, where :class:`~mmocr_da.engine.NotesHook` counts and logs it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from mmengine.dataset import Compose

from .data_samples import data_samples_of

Note = tuple[str, str]

_collected: list[list[Note]] = []


def note(kind: str, what: str) -> None:
    """Note that ``what``, an image path with or without details, is of this ``kind``."""
    if _collected:
        _collected[-1].append((kind, printable(what)))


def printable(name: object) -> str:
    """Escape line ends and bytes outside UTF-8 in a name, for a line of a log file.

    >>> print(printable('caf\\udce9\\n.png'), printable('\\u00e9.png'))
    caf\\udce9\\n.png \u00e9.png
    """
    return str(name).encode('utf-8', 'backslashreplace').decode().replace('\n', '\\n')


@contextlib.contextmanager
def collect_notes() -> Iterator[list[Note]]:
    """Collect the notes that are made within the block.

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
    """A pipeline that adds the notes about an image to its data samples, as metainfo ``notes``.

    Errors in the pipeline get a note that names the image.
    """

    def __call__(self, data: dict) -> dict | None:
        place = _place_of(data)
        with collect_notes() as notes:
            try:
                data = super().__call__(data)
            except Exception as error:
                # Most transforms do not name the image with which they failed.
                error.add_note(place)
                raise
        if notes and data is not None:
            for sample in data_samples_of(data):
                sample.set_metainfo(dict(notes=notes))
        return data


def _place_of(data: Any) -> str:
    if not isinstance(data, dict):
        data = dict(img_path=data if isinstance(data, str) else None)
    path = data.get('img_path') or data.get('img_key') or 'without a name'
    labels = ' and '.join(sorted({key for label in data.get('instances') or () for key in label}))
    return f'This is in the pipeline of the image {path}' + (
        f', annotated with {labels}' if labels else ''
    )
