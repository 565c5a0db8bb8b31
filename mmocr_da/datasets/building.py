"""From the datasets of a config to plain ones, each with a pipeline."""

from collections.abc import Iterable, Iterator, Sequence

from mmengine.dataset import BaseDataset, Compose, ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS as ALL_DATASETS


def build_datasets(datasets: dict | BaseDataset | Sequence) -> list[BaseDataset]:
    """The plain datasets of a config, or of a list of configs and datasets.

    The parts of a ``ConcatDataset`` stand for it, a ``RepeatDataset`` is its dataset several times.
    """
    if not isinstance(datasets, (list, tuple)):
        datasets = [datasets]
    return [plain for dataset in datasets for plain in flatten(build_dataset(dataset))]


def build_dataset(dataset: dict | BaseDataset):
    """Build the config of a dataset; ValueError if it has none of what it needs."""
    if not isinstance(dataset, dict):
        return dataset
    name = f'{dataset.get("type")} from {dataset.get("ann_file") or dataset}'
    try:
        return ALL_DATASETS.build(dataset)
    except Exception as error:
        # MMEngine puts the annotations together without a look at their number, and MMOCR decodes
        # what an LMDB gives for a key that is not there.
        if 'need at least one array' in str(error):
            raise ValueError(f'a dataset must hold annotations, got an empty {name}') from error
        if "'NoneType' object has no attribute 'decode'" in str(error):
            raise ValueError(
                "a labelled LMDB must hold 'num-samples' and so many 'image-%09d' and "
                f"'label-%09d', got {name} without one of them; if it has no labels, "
                'use mmocr_da.UnlabelledDataset(lmdb=...)'
            ) from error
        error.add_note(f'This is in the dataset {name}')
        raise


def flatten(dataset) -> list[BaseDataset]:
    """What a dataset consists of."""
    if type(dataset).__getitem__ is ConcatDataset.__getitem__:  # also MMOCR's
        return [plain for part in dataset.datasets for plain in flatten(part)]
    if isinstance(dataset, RepeatDataset):
        return flatten(dataset.dataset) * dataset.times
    if not isinstance(dataset, BaseDataset):
        raise ValueError(
            f'plain datasets are needed, got a {type(dataset).__name__}; give the '
            'datasets in it, as a list'
        )
    return [dataset]


def set_pipeline(datasets: Iterable[BaseDataset], pipeline: Sequence | None, name: str) -> None:
    """Give each dataset the pipeline, unless it has one of its own and there is none to give."""
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
    """Each dataset once, also if it is repeated."""
    return list({id(dataset): dataset for dataset in datasets}.values())


def of_type(dataset, type_: type) -> Iterator[BaseDataset]:
    """The datasets of a type in a dataset, at any depth of wrappers; none within another."""
    if isinstance(dataset, type_):
        yield dataset
        return
    for part in [*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from of_type(part, type_)
