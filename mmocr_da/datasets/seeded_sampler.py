"""Batches of a fixed mix; each can be computed without the ones before it."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmocr_da.arguments import check_count, check_flag
from mmocr_da.registry import DATA_SAMPLERS


class Draw(int):
    """The index of an item, with the ``seed`` for the random transforms of this draw."""

    seed: int

    def __new__(cls, index: int, seed: int) -> 'Draw':
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __reduce__(self) -> tuple:
        # On its way to a worker, an int would lose its seed.
        return Draw, (int(self), self.seed)


@DATA_SAMPLERS.register_module()
class SeededSampler(Sampler):
    """Shuffled epochs of a dataset.

    The ``b``-th batch of epoch ``e``, and the seeds for the random transforms of its images, are
    functions of ``(seed, e, b)``. So :meth:`skip` computes no batch, and a resumed run draws and
    augments the same images as an uninterrupted one.

    In each step, ``R`` ranks with ``batch_size = B / R`` together draw the same images as one
    process with ``batch_size = B``.

    A subclass divides its dataset into parts: each batch then holds a fixed number of images of
    each part, in order, and an epoch covers one of them (:meth:`_set_up`).

    Args:
        dataset: A :class:`SeededDataset`, which uses the seeds of the draws, or any other.
        batch_size: Images per batch and rank; equal to the dataloader's ``batch_size``.
        seed: The same for all ranks; if None, it is random.
        shuffle: Whether to shuffle each epoch, or to keep the order of the dataset.
        round_up: Whether to fill up the last batch of an epoch with images that were already in it.
            Otherwise an epoch ends before the first batch that is not full.

    Raises:
        ValueError: If the dataset is empty or smaller than a batch that is not filled up.

    >>> sampler = SeededSampler(range(3), batch_size=2, shuffle=False)
    >>> [int(i) for i in sampler]  # two batches cover the three images
    [0, 1, 2, 0]
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
    ) -> None:
        check_count('batch_size', batch_size)
        if hasattr(dataset, 'domain_sizes'):
            raise ValueError(
                f'SeededSampler knows no domains, got a {type(dataset).__name__}: set '
                "type='mmocr_da.TwoDomainSampler', which puts both into each batch"
            )
        if len(dataset) < 1:
            raise ValueError('the dataset needs images, got none; check its ann_file or img_dir')
        self._set_up((len(dataset),), (batch_size,), 0, seed, shuffle, round_up)

    def _set_up(
        self,
        sizes: Sequence[int],
        counts: Sequence[int],
        covered: int,
        seed: int | None,
        shuffle: bool,
        round_up: bool,
    ) -> None:
        """Set the parts of the dataset.

        The other parts are cycled while an epoch covers one of them.

        Args:
            sizes: Images of each part; their indexes follow each other in the dataset.
            counts: Images of each part in a batch of one rank.
            covered: Index of the part that an epoch covers.
            seed, shuffle, round_up: See the class.
        """
        if seed is not None:
            check_count('seed', seed, least=0)
        check_flag('shuffle', shuffle)
        check_flag('round_up', round_up)
        self.rank, world_size = get_dist_info()
        self.sizes, self.counts = tuple(sizes), tuple(counts)
        self.batch_size = sum(counts)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = self._start = 0
        self._shuffles: dict[int, tuple[int, np.ndarray]] = {}

        # Per step, all ranks together.
        self.steps = [count * world_size for count in self.counts]
        self.covered = covered
        self.num_batches = batches_to_cover(self.sizes[covered], self.counts[covered], round_up)
        if self.num_batches == 0:
            raise ValueError(
                f'an epoch needs at least one batch, got {self.sizes[covered]} images for '
                f'{self.steps[covered]} per step; set round_up=True or a smaller batch_size'
            )

    def __len__(self) -> int:
        """Number of images per epoch and rank."""
        return self.num_batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of ``epoch``."""
        self.epoch, self._start = epoch, 0

    def skip(self, num_batches: int) -> None:
        """Go ``num_batches`` batches ahead, also beyond the end of an epoch."""
        epochs, self._start = divmod(self._start + num_batches, self.num_batches)
        self.epoch += epochs

    def __iter__(self) -> Iterator[Draw]:
        epoch, start = self.epoch, self._start
        for batch in range(start, self.num_batches):
            for part in range(len(self.counts)):
                first = batch * self.steps[part] + self.rank * self.counts[part]
                for position in range(first, first + self.counts[part]):
                    yield self._draw(part, epoch, position)

    def _draw(self, part: int, epoch: int, position: int) -> Draw:
        """Draw number ``position`` of all ranks together from a part in ``epoch``."""
        size = self.sizes[part]
        per_epoch = self.num_batches * self.steps[part]
        overall = epoch * per_epoch + position
        if part == self.covered:
            # Each epoch covers its own shuffle. Its last batch is filled up from the next shuffles:
            # with the start of its own shuffle, some images would be drawn more often.
            shuffle, place = divmod(position, size)
            shuffle += epoch * math.ceil(per_epoch / size)
        else:
            shuffle, place = divmod(overall, size)
        index = int(self._shuffled(part, shuffle)[place]) + sum(self.sizes[:part])
        # Two independent streams: 0 draws the images, 1 seeds the random transforms.
        seed = np.random.SeedSequence([self.seed, 1, part, overall]).generate_state(1)[0]
        return Draw(index, int(seed))

    def _shuffled(self, part: int, number: int) -> np.ndarray:
        """The ``number``-th shuffle of a part, ``(size,)``."""
        kept = self._shuffles.get(part)
        if kept is None or kept[0] != number:
            order = np.arange(self.sizes[part])
            if self.shuffle:
                np.random.default_rng([self.seed, 0, part, number]).shuffle(order)
            kept = self._shuffles[part] = (number, order)
        return kept[1]


def batches_to_cover(size: int, count: int, round_up: bool) -> int:
    """Count the batches per rank until all ranks together have drawn ``size`` images.

    >>> batches_to_cover(5, count=2, round_up=True), batches_to_cover(5, count=2, round_up=False)
    (3, 2)
    """
    step = count * get_dist_info()[1]
    return (math.ceil if round_up else math.floor)(size / step)
