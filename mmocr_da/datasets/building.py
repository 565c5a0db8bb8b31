"""Builds the datasets of a config as a flat list without wrappers, each with a pipeline."""

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from mmengine.dataset import BaseDataset, Compose, ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS as ALL_DATASETS
from mmocr.datasets import RecogLMDBDataset

from mmocr_da.arguments import check_list

from .lmdb_files import labels_needed


def build_datasets(
    datasets: dict | BaseDataset | Sequence, name: str = 'datasets'
) -> list[BaseDataset]:
    """Build a flat list of datasets from a config, or from a list of configs and datasets.

    A ``ConcatDataset`` is replaced by its parts, a ``RepeatDataset`` by its dataset several times.

    Args:
        datasets: Datasets, or their configs.
        name: Name of the argument that has them, for messages.

    Raises:
        ValueError: If a dataset is empty or has another wrapper.
    """
    if not isinstance(datasets, (list, tuple)):
        datasets = [datasets]
    return [plain for dataset in datasets for plain in flatten(build_dataset(dataset), name)]


def build_dataset(dataset: dict | BaseDataset):
    """Build a dataset from its config; a built dataset is returned unchanged.

    A ``RecogLMDBDataset`` of MMOCR, also one within wrappers, is built as
    :class:`LazyRecogLMDBDataset`, which has the same items.

    Raises:
        ValueError: If it has no annotations, or if an LMDB lacks a key.
    """
    if not isinstance(dataset, dict):
        return dataset
    name = f'{dataset.get("type")} from {dataset.get("ann_file") or dataset}'
    try:
        return ALL_DATASETS.build(_with_lazy_lmdbs(dataset))
    except Exception as error:
        # MMEngine concatenates the annotations without checking that there are any, and MMOCR
        # decodes the None that an LMDB returns for a missing key.
        if 'need at least one array' in str(error):
            raise ValueError(f'a dataset must hold annotations, got an empty {name}') from error
        if "'NoneType' object has no attribute 'decode'" in str(error):
            raise ValueError(labels_needed(name)) from error
        error.add_note(f'This is in the dataset {name}')
        raise


def _with_lazy_lmdbs(dataset: dict) -> dict:
    """Replace MMOCR's class for LMDBs in a config; subclasses of it stay."""
    changed: dict[str, Any] = {}
    for key in ('dataset', 'datasets'):
        inner = dataset.get(key)
        if isinstance(inner, dict):
            changed[key] = _with_lazy_lmdbs(inner)
        elif isinstance(inner, (list, tuple)):
            changed[key] = [_with_lazy_lmdbs(x) if isinstance(x, dict) else x for x in inner]
    type_ = dataset.get('type')
    # The name alone does not tell: another scope may have a class of the same name.
    if isinstance(type_, str) and type_.endswith('RecogLMDBDataset'):
        with ALL_DATASETS.switch_scope_and_registry(dataset.get('_scope_')) as registry:
            type_ = registry.get(type_)
    if type_ is RecogLMDBDataset:
        changed['type'] = 'mmocr_da.LazyRecogLMDBDataset'
    return dict(dataset, **changed) if changed else dataset


def flatten(dataset, name: str = 'datasets') -> list[BaseDataset]:
    """List the datasets inside the wrappers that :func:`build_datasets` knows.

    Raises:
        ValueError: If there is another wrapper.
    """
    if getattr(type(dataset), '__getitem__', None) is ConcatDataset.__getitem__:  # also MMOCR's
        return [plain for part in dataset.datasets for plain in flatten(part, name)]
    if isinstance(dataset, RepeatDataset):
        return flatten(dataset.dataset, name) * dataset.times
    if not isinstance(dataset, BaseDataset):
        raise ValueError(
            f'{name}: datasets without a wrapper are needed, got a {type(dataset).__name__}; give '
            'the datasets in it, as a list'
        )
    return [dataset]


def set_pipeline(datasets: Iterable[BaseDataset], pipeline: Sequence | None, name: str) -> None:
    """Give the pipeline to each dataset that has none.

    Raises:
        ValueError: If a dataset has a pipeline and another is given, or if it has none and none is
            given.
    """
    if pipeline is not None:
        check_list(name, pipeline, (dict, Callable), 'transforms')
    for dataset in unique(datasets):
        own = bool(dataset.pipeline.transforms)
        if own and pipeline:
            raise ValueError(
                f'a {type(dataset).__name__} has a pipeline and {name} is given too: '
                'set one of them to None'
            )
        if not own and not pipeline:
            raise ValueError(f'a {type(dataset).__name__} has no pipeline; give {name}')
        if not own:
            dataset.pipeline = Compose(pipeline)


def unique(datasets: Iterable[BaseDataset]) -> list[BaseDataset]:
    """List each dataset once, in order."""
    return list({id(dataset): dataset for dataset in datasets}.values())


def places(datasets: Sequence, indexes: Iterable[int]) -> list[tuple]:
    """Find items by their index in the concatenation of datasets.

    >>> places(['abc', 'de'], [0, 2, 3])
    [('abc', 0), ('abc', 2), ('de', 0)]
    """
    ends = list(accumulate(map(len, datasets)))
    found = []
    for index in indexes:
        which = bisect(ends, index)
        found.append((datasets[which], int(index) - (ends[which - 1] if which else 0)))
    return found


def of_type(dataset, type_: type) -> Iterator[BaseDataset]:
    """Yield the outermost datasets of a type, at any depth of wrappers."""
    if isinstance(dataset, type_):
        yield dataset
        return
    for part in [*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from of_type(part, type_)
