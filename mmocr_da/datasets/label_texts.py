"""All labels of a dataset, without its images."""

import pickle
from collections.abc import Iterator

from mmengine.dataset import BaseDataset, ConcatDataset

from mmocr_da.unicode import to_unicode_form

from .label_fraction import LabelFraction
from .lmdb_files import LMDBImages
from .notes import printable
from .unlabelled_dataset import UnlabelledDataset


def labels_of(dataset) -> Iterator[tuple[int, str | None]]:
    """``(index, text)`` of each labelled item that is in use; None if it has not just one text.

    Texts are in the ``unicode_form`` of a :class:`SeededDataset`, and what it leaves out is not
    there. A million labels take four seconds.
    """
    if isinstance(dataset, ConcatDataset):
        start = 0
        form, left_out = (getattr(dataset, name, None) for name in ('unicode_form', '_left_out'))
        left_out = set() if left_out is None else set(left_out.nonzero().flatten().tolist())
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
    """What names the image of an item: its path, its key in a database, or its number."""
    data = dataset.get_data_info(idx)
    return printable(data.get('img_path') or data.get('img_key') or f'number {idx}')


def _annotations(dataset) -> Iterator[dict]:
    dataset = dataset.dataset if isinstance(dataset, LabelFraction) else dataset
    # That of an LMDB adds a name only.
    if type(dataset).get_data_info not in (BaseDataset.get_data_info, LMDBImages.get_data_info):
        yield from map(dataset.get_data_info, range(len(dataset)))
        return
    dataset.full_init()
    if not dataset.serialize_data:
        yield from dataset.data_list
        return
    # As get_data_info does, but for what it does once more for each item.
    content, start = memoryview(dataset.data_bytes), 0
    for end in dataset.data_address.tolist():
        yield pickle.loads(content[start:end])
        start = end
