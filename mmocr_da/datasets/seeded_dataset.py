"""A dataset that replaces broken images and augments them by the seed of the draw."""

import copy
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from mmengine.dataset import BaseDataset, Compose, ConcatDataset
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement

from mmocr_da.arguments import check_flag
from mmocr_da.registry import DATASETS
from mmocr_da.rng import seeded
from mmocr_da.unicode import UnicodeForm

from .building import build_datasets, set_pipeline, unique
from .data_samples import data_samples_of
from .image_loading import LoadImageFromFile, load_as_shown
from .normalize_text import NormalizeText
from .notes import printable

#: After this number of broken images for one draw, the dataset itself must be wrong.
MAX_SKIPS = 1000
#: A kind of notes (see :mod:`~mmocr_da.datasets.notes`).
UNUSABLE = 'images have a label that the recognizer cannot learn, and others replace them'
#: Random tries to find an item that is in use; they fail only if nearly all are left out.
GUESSES = 1000


@DATASETS.register_module()
class SeededDataset(ConcatDataset):
    """One or several datasets as one, for :class:`SeededSampler`.

    An image that cannot be read is replaced by another one, always the same. A warning in the log
    names it, and its replacement carries ``skipped_images``. Any other error is raised.

    Random transforms (``random``, NumPy, PyTorch, imgaug) depend only on the seed of the draw,
    which :class:`SeededSampler` gives; the number of workers and earlier draws have no influence.

    Images are loaded by :func:`mmocr_da.datasets.image_loading.decode`, from files or LMDBs; it
    replaces ``LoadImageFromFile`` and ``LoadImageFromNDArray`` in the pipelines.

    Args:
        datasets: Config(s) of datasets, labelled or not; several are concatenated.
        pipeline: For all datasets that have no pipeline.
        unicode_form: Unicode form to convert the labels to: 'NFC', 'NFD', 'NFKC' or 'NFKD'; None
            leaves them unchanged.
        skip_unusable: Whether images with a label that the recognizer cannot learn (unknown
            characters, too long) are replaced by others. Otherwise they are reported when training
            starts: as a warning if MMOCR cuts the label, else as an error. Of an LMDB with more
            than 100,000 labels, this number is looked at when training starts, and the others when
            their images are drawn.
        lazy_init: As in MMEngine.
    """

    def __init__(
        self,
        datasets: dict | BaseDataset | Sequence,
        pipeline: Sequence | None = None,
        unicode_form: UnicodeForm | None = None,
        skip_unusable: bool = False,
        lazy_init: bool = False,
    ) -> None:
        datasets = build_datasets(datasets)
        if not datasets:
            raise ValueError('datasets needs at least one dataset, got none')
        set_pipeline(datasets, pipeline, 'pipeline')
        self._set_up(datasets, unicode_form, skip_unusable, lazy_init)

    def _set_up(
        self,
        datasets: list[BaseDataset],
        unicode_form: UnicodeForm | None,
        skip_unusable: bool,
        lazy_init: bool,
    ) -> None:
        check_flag('skip_unusable', skip_unusable)
        self.unicode_form = unicode_form
        self.skip_unusable = skip_unusable
        self._unusable: list[Callable[[str], bool]] = []
        for dataset in unique(datasets):
            load_as_shown(dataset)
            for transform in dataset.pipeline.transforms:
                if isinstance(transform, LoadImageFromFile):
                    # An unreadable image must raise, so that it is replaced and the reason logged.
                    transform.ignore_empty = False
            if unicode_form is not None:
                dataset.pipeline.transforms.insert(0, NormalizeText(unicode_form))
        # Datasets of different origin may differ in their metainfo.
        differing = {key for dataset in datasets for key in dataset.metainfo}
        super().__init__(datasets, lazy_init=lazy_init, ignore_keys=sorted(differing))

    _observed = False

    @property
    def pipeline(self) -> Compose:
        """The pipeline of the first dataset.

        Setting it gives each dataset a pipeline of the same kind with the dataset's own transforms.
        MMOCR's ``browse_dataset.py`` does so to observe the transforms.
        """
        return self.datasets[0].pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Compose) -> None:
        self._observed = True
        for dataset in self.datasets:
            transforms = dataset.pipeline.transforms
            dataset.pipeline = copy.copy(pipeline)
            dataset.pipeline.transforms = transforms

    def full_init(self) -> None:
        """Load the annotations of all datasets."""
        if self._fully_initialized:
            return
        super().full_init()
        # Shared by the workers, so that each broken image is named once, not once per worker.
        self._named = torch.zeros(len(self), dtype=torch.bool).share_memory_()
        self._left_out = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def leave_out(self, indexes: Iterable[int]) -> None:
        """Replace these items by others from now on, also in workers that already run."""
        self.full_init()
        self._left_out[list(indexes)] = True

    @property
    def left_out(self) -> set[int]:
        """Indexes of the items that others replace."""
        self.full_init()
        return set(self._left_out.nonzero().flatten().tolist())

    def leave_out_labels(self, unusable: Callable[[str], bool]) -> None:
        """Replace items when they are drawn, if their label after the pipeline is unusable.

        It is for data with too many labels to find these items before. A note names them (see
        :mod:`~mmocr_da.datasets.notes`). Workers that already run do not get it.
        """
        self._unusable.append(unusable)

    @property
    def checks_labels(self) -> bool:
        """Whether items are left out by their label when they are drawn."""
        return bool(self._unusable)

    def __getitem__(self, idx: int) -> dict:
        """Return the item ``idx`` after its pipeline, or another usable one of its domain.

        Raises:
            RuntimeError: If no image could be read, or none of 1000.
        """
        self.full_init()
        start, seed = int(idx), getattr(idx, 'seed', None)
        start = start + len(self) if start < 0 else start
        first, size, kind = self._group_of(start)
        i, error = start, None
        broken: list[tuple[int, Exception]] = []
        unusable: list[int] = []
        for i in islice(self._candidates(start, first, size), MAX_SKIPS):
            # Each attempt starts from the seed, so that skipped images do not influence the item.
            with seeded(seed):
                data, error = self._attempt(i)
            if data is not None and self._has_unusable_label(data):
                unusable.append(i)
                continue
            if data is not None:
                return self._finish(data, i, broken, unusable)
            if error is not None:
                broken.append((i, error))
        message = (
            f'{min(size, MAX_SKIPS)} of {size} {kind}images were tried and none '
            f'can be used, the last is {self._path(i)}'
        )
        if unusable:
            message += f': {len(unusable)} of them have labels that cannot be learned'
        elif broken:
            message += (
                '; check the data_root, ann_file and data_prefix of the dataset and the first '
                'transform of its pipeline'
            )
        else:
            message += (
                ': the images are fine, and the pipeline returned nothing for them. Transforms of '
                "detectors that cut out text (MMOCR's ImgAugWrapper, RandomCrop, "
                'TextDetRandomCrop) drop images without a label; give a target a target_pipeline '
                'without them'
            )
        raise RuntimeError(message) from error

    def _candidates(self, start: int, first: int, size: int) -> Iterator[int]:
        """Yield items of a group that are in use: ``start``, then all others.

        Their order is random, by ``start`` alone: images that cannot be read often stand side by
        side, and the next one that can would replace them all.
        """
        if not self._left_out[start]:
            yield start
        tried = {start}
        # Listing all items that are in use takes long for large datasets.
        draw = random.Random(start).randrange
        for i in (first + draw(size) for _ in range(GUESSES)):
            if i not in tried and not self._left_out[i]:
                tried.add(i)
                yield i
        for i in map(int, first + np.flatnonzero(~self._left_out[first : first + size].numpy())):
            if i not in tried:
                yield i

    def _group_of(self, idx: int) -> tuple[int, int, str]:
        """Return the first, the number and the kind of the items that may replace ``idx``."""
        return 0, len(self), ''

    def _check_sample(self, sample: BaseDataElement, idx: int) -> None:
        """Check or tag a data sample after the pipeline; subclasses override it."""

    def _attempt(self, idx: int) -> tuple[dict | None, Exception | None]:
        """Load an item.

        Returns:
            ``(item, None)``, ``(None, why the image is broken)``, or ``(None, None)`` if the
            pipeline returned nothing for an image that is fine.
        """
        dataset, i = self._locate(idx)
        try:
            data = dataset.prepare_data(i)
        except Exception as error:
            if (reason := why_broken(dataset, i)) is None:
                raise
            return None, reason or error
        if data is None:
            return None, why_broken(dataset, i)
        return data, None

    def _has_unusable_label(self, data: dict) -> bool:
        if not self._unusable:
            return False
        labels = [getattr(sample.get('gt_text'), 'item', None) for sample in data_samples_of(data)]
        return any(label and unusable(label) for label in labels for unusable in self._unusable)

    def _finish(self, data: dict, idx: int, broken: list[tuple], unusable: list[int]) -> dict:
        paths = [self._path(i) for i, _ in broken]
        for path, (i, error) in zip(paths, broken):
            if not self._named[i]:
                self._named[i] = True
                reason = printable(f'{type(error).__name__}: {error}')
                print_log(
                    f'The {self._group_of(i)[2]}image {path} cannot be read and is replaced: '
                    f'{reason}',
                    logger='current',
                    level=logging.WARNING,
                )
        samples = list(data_samples_of(data))
        if not samples and not self._observed:  # an observing pipeline need not pack
            raise ValueError(
                "a pipeline must end with a transform that packs 'data_samples', "
                f'such as PackTextRecogInputs, got an item with {sorted(data)}'
            )
        for sample in samples:
            self._check_sample(sample, idx)
            if paths:
                sample.set_metainfo(dict(skipped_images=paths))
            if unusable:
                notes = [(UNUSABLE, self._path(i)) for i in unusable]
                sample.set_metainfo(dict(notes=[*sample.get('notes', ()), *notes]))
        return data

    def _locate(self, idx: int) -> tuple[BaseDataset, int]:
        which, i = self._get_ori_dataset_idx(idx)
        return self.datasets[which], i

    def _path(self, idx: int) -> str:
        dataset, i = self._locate(idx)
        data = dataset.get_data_info(i)
        return printable(data.get('img_path') or data.get('img_key') or f'number {i}')


def why_broken(dataset: BaseDataset, idx: int) -> Exception | None:
    """Why the image of an item cannot be loaded; None if it can, so an error has another cause."""
    # The type of an error does not show its cause, so the image is loaded again.
    probe = object.__new__(type(dataset))
    # In test mode, a dataset says what it lacks.
    probe.__dict__.update(dataset.__dict__, pipeline=Compose([]), test_mode=True)
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
