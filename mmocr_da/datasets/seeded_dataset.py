"""Images that can be drawn again: broken ones replaced, random transforms by the draw's seed."""
import contextlib
import logging
import random
import sys
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dataset import BaseDataset, Compose, ConcatDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS as ALL_DATASETS
from mmengine.structures import BaseDataElement

from mmocr_da.registry import DATASETS

#: After so many broken images in a row, it is not the images that are wrong.
MAX_SKIPS = 1000


@DATASETS.register_module()
class SeededDataset(ConcatDataset):
    """One or several datasets as one, for :class:`SeededSampler`.

    An image that cannot be read is replaced by the next one that can. The warning in the log names
    it, the replacement carries ``skipped_images``. Any other error is raised.

    What is random in a pipeline (``random``, NumPy, PyTorch, imgaug) depends only on the seed of
    the draw, which :class:`SeededSampler` gives, not on the workers or on what ran before.

    Args:
        datasets: Config(s) of datasets, labelled or not; several are concatenated.
        pipeline: For all datasets without a pipeline of their own.
        lazy_init: As in MMEngine.
    """

    def __init__(self,
                 datasets: Union[dict, BaseDataset, Sequence],
                 pipeline: Optional[Sequence] = None,
                 lazy_init: bool = False) -> None:
        datasets = build_datasets(datasets)
        if not datasets:
            raise ValueError('datasets needs at least one dataset, got none')
        for dataset in datasets:
            set_pipeline(dataset, pipeline, 'pipeline')
        # They come from different places: their metainfo may differ.
        differing = {key for dataset in datasets for key in dataset.metainfo}
        super().__init__(datasets, lazy_init=lazy_init, ignore_keys=sorted(differing))

    def full_init(self) -> None:
        """Load the annotations of all datasets."""
        if self._fully_initialized:
            return
        super().full_init()
        # Shared by the workers, so that each broken image is named once, not once per worker.
        self._named = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def __getitem__(self, idx: int) -> dict:
        """The item ``idx`` after its pipeline, or the next one of its kind that can be read."""
        self.full_init()
        start, seed = int(idx), getattr(idx, 'seed', None)
        start = start + len(self) if start < 0 else start
        first, size, kind = self._group_of(start)
        broken, error = [], None
        for step in range(min(size, MAX_SKIPS)):
            i = first + (start - first + step) % size
            # Each attempt starts from the seed: what was skipped must not change the rest.
            with seeded(seed):
                data, error = self._attempt(i)
            if data is not None:
                return self._finish(data, i, broken)
            if error is not None:
                broken.append((i, error))
        raise RuntimeError(
            f'{min(size, MAX_SKIPS)} of {size} {kind}images were tried and none '
            f'can be used, the last is {self._path(i)}; check the data_root, ann_file and '
            'data_prefix of the dataset and the first transform of its pipeline') from error

    def _group_of(self, idx: int) -> Tuple[int, int, str]:
        """The items that may stand in for the item ``idx``: the first, how many, their kind."""
        return 0, len(self), ''

    def _check_sample(self, sample: BaseDataElement, idx: int) -> None:
        """What else a data sample behind the pipeline must fulfil, or gets."""

    def _attempt(self, idx: int) -> Tuple[Optional[dict], Optional[Exception]]:
        """``(item, None)``, ``(None, why the image is broken)``, or ``(None, None)`` if the
        pipeline returned nothing for an image that is fine."""
        dataset, i = self._locate(idx)
        try:
            data = dataset.prepare_data(i)
        except Exception as error:
            if (reason := _why_broken(dataset, i)) is None:
                raise
            return None, reason or error
        if data is None:
            return None, _why_broken(dataset, i)
        return data, None

    def _finish(self, data: dict, idx: int, broken: List[tuple]) -> dict:
        paths = [self._path(i) for i, _ in broken]
        for path, (i, error) in zip(paths, broken):
            if not self._named[i]:
                self._named[i] = True
                print_log(f'The {self._group_of(i)[2]}image {path} cannot be read and is replaced: '
                          f'{type(error).__name__}: {error}', logger='current',
                          level=logging.WARNING)
        samples = list(data_samples_of(data))
        if not samples:
            raise ValueError("a pipeline must end with a transform that packs 'data_samples', "
                             f'such as PackTextRecogInputs, got an item with {sorted(data)}')
        for sample in samples:
            self._check_sample(sample, idx)
            if paths:
                sample.set_metainfo(dict(skipped_images=paths))
        return data

    def _locate(self, idx: int) -> Tuple[BaseDataset, int]:
        which, i = self._get_ori_dataset_idx(idx)
        return self.datasets[which], i

    def _path(self, idx: int) -> str:
        dataset, i = self._locate(idx)
        data = dataset.get_data_info(i)
        return str(data.get('img_path') or data.get('img_key') or f'number {i}')


def data_samples_of(data: Any) -> Iterator[BaseDataElement]:
    """All data samples of an item or a batch, also those of several views."""
    if isinstance(data, dict):
        data = data.get('data_samples', data.values())
        yield from data_samples_of(list(data.values()) if isinstance(data, dict) else data)
    elif isinstance(data, BaseDataElement):
        yield data
    elif not isinstance(data, (str, torch.Tensor, np.ndarray)) and hasattr(data, '__iter__'):
        for element in data:
            yield from data_samples_of(element)


@contextlib.contextmanager
def seeded(seed: Optional[int]) -> Iterator[None]:
    """Random numbers within depend on ``seed`` alone, and those behind do not notice.

    >>> with seeded(1):
    ...     first = random.random()
    >>> with seeded(1):
    ...     print(random.random() == first)
    True
    """
    if seed is None:
        yield
        return
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # First, since imgaug draws from NumPy when it makes its own generator. That one need not be
    # restored: only augmentation uses it.
    if 'imgaug' in sys.modules:
        sys.modules['imgaug'].random.seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    # Not torch.manual_seed: it would seed the GPU of a model that runs in this process.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _why_broken(dataset: BaseDataset, idx: int) -> Optional[Exception]:
    """Why the image of an item cannot be loaded; None if it can, and the error is another."""
    # Loading it once more is sure to tell; guessing from the type of an error is not.
    probe = object.__new__(type(dataset))
    probe.__dict__.update(dataset.__dict__, pipeline=Compose([]))
    try:
        data = probe.prepare_data(idx)
        for transform in dataset.pipeline.transforms:
            if data is None or data.get('img') is not None:
                break
            data = transform(data)
    except Exception as error:
        return error
    image = None if data is None else data.get('img')
    if image is None or np.size(image) == 0:
        return OSError('the image is empty or no image')
    return None


def build_datasets(datasets: Union[dict, BaseDataset, Sequence]) -> List[BaseDataset]:
    if not isinstance(datasets, (list, tuple)):
        datasets = [datasets]
    return [ALL_DATASETS.build(d) if isinstance(d, dict) else d for d in datasets]


def set_pipeline(dataset: BaseDataset, pipeline: Optional[Sequence], name: str) -> None:
    if not hasattr(dataset, 'pipeline'):
        raise ValueError(f'plain datasets are needed, got a {type(dataset).__name__}; give a list '
                         'of datasets instead')
    own = bool(dataset.pipeline.transforms)
    if own and pipeline:
        raise ValueError(f'a {type(dataset).__name__} has a pipeline and {name} is given too: '
                         'set one of them to None')
    if not own and not pipeline:
        raise ValueError(f'a {type(dataset).__name__} has no pipeline; give {name}')
    if not own:
        dataset.pipeline = Compose(pipeline)
