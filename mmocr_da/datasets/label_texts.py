"""Texts of the labels of a dataset, read without loading its images."""

import pickle
from collections.abc import Iterator

from mmengine.dataset import BaseDataset, ConcatDataset

from mmocr_da.unicode import to_unicode_form

from .label_fraction import LabelFraction
from .lmdb_files import LMDBImages
from .notes import printable
from .unlabelled_dataset import UnlabelledDataset


def labels_of(dataset) -> Iterator[tuple[int, str | None]]:
    """Yield the label of each labelled item that is in use, in order.

    Items that a :class:`SeededDataset` leaves out are skipped, and its ``unicode_form`` is applied.
    A million labels take four seconds.

    Returns:
        ``(index, text)`` of each; ``text`` is None if the item does not have exactly one text.
    """
    if isinstance(dataset, ConcatDataset):
        start = 0
        form, left_out = getattr(dataset, 'unicode_form', None), getattr(dataset, 'left_out', ())
        for part in dataset.datasets:
            for i, text in labels_of(part):
                if start + i not in left_out:
                    yield start + i, text and to_unicode_form(text, form)
            start += len(part)
    elif hasattr(dataset, 'get_data_info') and not isinstance(dataset, UnlabelledDataset):
        for i, data in enumerate(_annotations(dataset)):
            texts = [instance.get('text') for instance in data.get('instances') or ()]
            yield i, texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def path_of(dataset, idx: int) -> str:
    """Name the image of an item: its path, its key in a database, or else its number."""
    data = dataset.get_data_info(idx)
    return printable(data.get('img_path') or data.get('img_key') or f'number {idx}')


def _annotations(dataset) -> Iterator[dict]:
    dataset = dataset.dataset if isinstance(dataset, LabelFraction) else dataset
    # An LMDB's get_data_info only adds a name, which is not needed here.
    if type(dataset).get_data_info not in (BaseDataset.get_data_info, LMDBImages.get_data_info):
        yield from map(dataset.get_data_info, range(len(dataset)))
        return
    dataset.full_init()
    if not dataset.serialize_data:
        yield from dataset.data_list
        return
    # As get_data_info does, without the checks and copies that it repeats for each item.
    content, start = memoryview(dataset.data_bytes), 0
    for end in dataset.data_address.tolist():
        yield pickle.loads(content[start:end])
        start = end
