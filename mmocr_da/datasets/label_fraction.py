"""A fixed random subset of a labelled dataset, for semi-supervised protocols."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from mmengine.dataset import BaseDataset, Compose

from mmocr_da.arguments import check_count, check_list, check_number
from mmocr_da.registry import DATASETS

from .building import build_dataset
from .unlabelled_dataset import UnlabelledDataset


@DATASETS.register_module()
class LabelFraction(BaseDataset):
    """A random subset of a labelled dataset, the same in every run.

    It has ``round(fraction * n)`` of the ``n`` items, at least one, in their order. The subsets of
    one ``seed`` are nested: the subset of 10 % contains the subset of 5 %. The seed of the run has
    no influence.

    Args:
        dataset: Config of a labelled dataset, or a built one, which is not modified.
        fraction: Part of the items, above 0 and at most 1.
        seed: Chooses the subset.
        pipeline: Needed if the dataset has none.
        lazy_init: As in MMEngine.
    """

    def __init__(
        self,
        dataset: dict | BaseDataset,
        fraction: float = 1.0,
        seed: int = 0,
        pipeline: Sequence | None = None,
        lazy_init: bool = False,
    ) -> None:
        check_number('fraction', fraction, above=0, most=1, why='it is 0.05 for 5 %')
        check_count('seed', seed, least=0, most=2**32 - 1)
        if pipeline is not None:
            check_list('pipeline', pipeline, (dict, Callable), 'transforms')
        dataset = build_dataset(dataset)
        if not isinstance(dataset, BaseDataset) or isinstance(
            dataset, (LabelFraction, UnlabelledDataset)
        ):
            raise ValueError(
                f'dataset must be one labelled dataset without a wrapper, got a '
                f'{type(dataset).__name__}; if there are several, wrap each by itself'
            )
        if pipeline and dataset.pipeline.transforms:
            raise ValueError(
                f'the {type(dataset).__name__} has a pipeline and pipeline is given '
                'too: set one of them to None'
            )
        self._fully_initialized: bool
        self.fraction = fraction
        self.seed = seed
        # The given one may be in use elsewhere. The annotations are shared, not copied.
        self.dataset = copy.copy(dataset)
        super().__init__(
            pipeline=pipeline,
            lazy_init=True,
            serialize_data=False,
            test_mode=dataset.test_mode,
            max_refetch=dataset.max_refetch,
        )
        # Wrappers look for a pipeline here and replace it here.
        if not pipeline:
            self.pipeline = dataset.pipeline
        self.dataset.pipeline = Compose([])
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """The metainfo of the whole dataset."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Load the annotations and keep the ones in the subset.

        Raises:
            ValueError: If the dataset is empty.
        """
        if self._fully_initialized:
            return
        self.dataset.full_init()
        self.total = len(self.dataset)
        if not self.total:
            raise ValueError(
                f'dataset must hold labelled images, got an empty '
                f'{type(self.dataset).__name__}; check its ann_file'
            )
        # NumPy promises that RandomState, unlike Generator, always draws the same numbers.
        order = np.random.RandomState(self.seed).permutation(self.total)
        self._indexes = np.sort(order[: max(1, round(self.fraction * self.total))])
        if len(self._indexes) < self.total:
            self.dataset.get_subset_(self._indexes.tolist())
        self._fully_initialized = True

    @property
    def selected(self) -> list[tuple[int, str]]:
        """List ``(index in the whole dataset, path or key)`` of each item."""
        out = []
        for i in range(len(self)):
            data = self.get_data_info(i)
            out.append((int(self._indexes[i]), str(data.get('img_key') or data.get('img_path'))))
        return out

    def __len__(self) -> int:
        self.full_init()
        return len(self.dataset)

    def get_data_info(self, idx: int) -> dict:
        """Return the annotation of the item ``idx`` of the subset."""
        self.full_init()
        return self.dataset.get_data_info(idx)

    def prepare_data(self, idx: int) -> dict | None:
        """Return the item ``idx`` of the subset after the pipeline."""
        # The method of the dataset is called, as it may load images from a database.
        data = self.dataset.prepare_data(idx)
        return None if data is None else self.pipeline(data)

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Not supported: :attr:`selected` would no longer be right.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('LabelFraction is a subset already; take another fraction')

    get_subset = get_subset_
