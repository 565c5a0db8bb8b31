"""Texts of the labels of a dataset, read without loading its images."""

import functools
import pickle
from collections.abc import Iterator

from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.logging import print_log

from mmocr_da.unicode import to_unicode_form

from .label_fraction import LabelFraction
from .lazy_list import LazyList, stratified
from .lmdb_files import database_of
from .notes import printable
from .recog_lmdb_dataset import LMDBImages
from .unlabelled_dataset import UnlabelledDataset

#: Labels of an LMDB that are read before a training, at most.
MOST_READ = 100_000


def labels_of(dataset) -> Iterator[tuple[int, str | None]]:
    """Yield the label of each labelled item that is in use, in order.

    Items that a :class:`SeededDataset` leaves out are skipped, and its ``unicode_form`` is applied.
    A million labels take four seconds. Of an LMDB with more than :data:`MOST_READ` labels this
    number is read, spread evenly, and the log says so; items without a label are skipped.

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
        for i, data in _annotations(dataset):
            texts = [instance.get('text') for instance in data.get('instances') or ()]
            yield i, texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def path_of(dataset, idx: int) -> str:
    """Name the image of an item: its path, its key in a database, or else its number."""
    data = dataset.get_data_info(idx)
    return printable(data.get('img_path') or data.get('img_key') or f'number {idx}')


def unread_labels(dataset) -> int:
    """Count the labels that :func:`labels_of` leaves out, since an LMDB has so many."""
    if isinstance(dataset, ConcatDataset):
        return sum(map(unread_labels, dataset.datasets))
    annotations = _lazy_list(dataset)
    return 0 if annotations is None else max(0, len(annotations) - MOST_READ)


def _lazy_list(dataset) -> LazyList | None:
    """The annotations of a labelled dataset that reads each when it is asked for."""
    if isinstance(dataset, UnlabelledDataset) or not hasattr(dataset, 'full_init'):
        return None
    dataset.full_init()
    dataset = dataset.dataset if isinstance(dataset, (LabelFraction, RepeatDataset)) else dataset
    annotations = getattr(dataset, 'data_list', None)
    return annotations if isinstance(annotations, LazyList) else None


@functools.cache
def _say(name: str, read: int, total: int) -> None:
    """Log once that not all labels are read."""
    print_log(
        f'{name}: {read:,} of its {total:,} labels are looked at before training, spread evenly',
        logger='current',
    )


def _annotations(dataset) -> Iterator[tuple[int, dict]]:
    annotations = _lazy_list(dataset)
    if annotations is None:
        yield from enumerate(_listed_annotations(dataset))
        return
    indexes = stratified(len(annotations), MOST_READ)
    if len(indexes) < len(annotations):
        _say(database_of(dataset).ann_file, len(indexes), len(annotations))
    for i in indexes:
        data = annotations[i]
        if data['instances']:
            yield i, data


def _listed_annotations(dataset) -> Iterator[dict]:
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
