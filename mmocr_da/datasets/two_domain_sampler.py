"""Batches with a fixed mix of the two domains."""
import math
from typing import Iterator, Optional, Sequence, Tuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmocr_da.registry import DATA_SAMPLERS

EPOCHS = ('source', 'target', 'longest', 'shortest')


class Draw(int):
    """The index of an item, with the ``seed`` of all that is random about this draw of it."""

    def __new__(cls, index: int, seed: int) -> 'Draw':
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __reduce__(self) -> tuple:
        # On its way to a worker, an int would lose its seed.
        return Draw, (int(self), self.seed)


@DATA_SAMPLERS.register_module()
class TwoDomainSampler(Sampler):
    """Every batch has the same mix, and every batch can be computed without those before it.

    Each batch holds first its source, then its target images. An epoch covers one domain, the
    other is cycled: its shuffles follow each other over the ends of epochs, so that at any time
    one image has been drawn at most once more than another.

    The ``b``-th batch of epoch ``e`` is a function of ``(seed, e, b)``. So :meth:`skip` costs
    nothing, and a resumed run draws what the uninterrupted one would have drawn.

    ``R`` ranks with ``batch_size = B / R`` draw together, in each step, what one process with
    ``batch_size = B`` draws, provided that ``B / R`` splits by the ratio without a remainder.

    mmdet's ``MultiSourceSampler`` has the same purpose. It is not the base class, since nothing
    of it would remain: it draws from generators that have no position, never ends an epoch, and
    does not return when a share rounds to 0.

    Args:
        dataset: A :class:`TwoDomainDataset` (or a concatenation of two datasets).
        batch_size: Images per batch and rank; equal to the dataloader's ``batch_size``.
        ratio: Source to target images in a batch; shares are rounded by largest remainder.
        epoch: The domain that an epoch covers once: ``'source'``, ``'target'``, or that with the
            ``'longest'`` or ``'shortest'`` epoch.
        seed: One number for all ranks. Random, if None.
        shuffle: Whether to shuffle each domain anew for each pass over it.
        round_up: Whether to fill the last batch of an epoch with images that were already in it.
            Else they are left out this time.

    >>> from types import SimpleNamespace
    >>> dataset = SimpleNamespace(domain_sizes=(4, 3))
    >>> sampler = TwoDomainSampler(dataset, batch_size=3, ratio=(2, 1), shuffle=False)
    >>> [int(i) for i in sampler]  # two batches cover the four source images
    [0, 1, 4, 2, 3, 5]
    """

    def __init__(self,
                 dataset,
                 batch_size: int,
                 ratio: Sequence[float] = (1, 1),
                 epoch: str = 'source',
                 seed: Optional[int] = None,
                 shuffle: bool = True,
                 round_up: bool = True) -> None:
        sizes = getattr(dataset, 'domain_sizes', None)
        if sizes is None:
            ends = list(getattr(dataset, 'cumulative_sizes', []))
            if len(ends) != 2:
                raise ValueError('TwoDomainSampler needs a mmocr_da.TwoDomainDataset, got a '
                                 f'{type(dataset).__name__}')
            sizes = (ends[0], ends[1] - ends[0])
        if min(sizes) < 1:
            raise ValueError(f'both domains need images, got {sizes[0]} source and {sizes[1]} '
                             'target images')
        if epoch not in EPOCHS:
            raise ValueError(f'epoch must be one of {", ".join(EPOCHS)}, got {epoch!r}')
        self.rank, self.world_size = get_dist_info()
        self.sizes = tuple(sizes)
        self.batch_size = batch_size
        self.counts = split_batch(batch_size, ratio)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = self._start = 0
        self._shuffles = {}

        # Per step, all ranks together.
        self.steps = [count * self.world_size for count in self.counts]
        rounding = math.ceil if round_up else math.floor
        lengths = [rounding(size / step) for size, step in zip(self.sizes, self.steps)]
        if epoch in ('source', 'target'):
            self.covered = ('source', 'target').index(epoch)
        else:
            self.covered = lengths.index((max if epoch == 'longest' else min)(lengths))
        self.num_batches = lengths[self.covered]
        if self.num_batches == 0:
            raise ValueError(
                f'an epoch has no batch: {self.steps[self.covered]} images per step are asked of '
                f'a domain with {self.sizes[self.covered]}; set round_up=True or a smaller '
                'batch_size')

    def __len__(self) -> int:
        """Images per epoch and rank."""
        return self.num_batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of ``epoch``."""
        self.epoch, self._start = epoch, 0

    def skip(self, num_batches: int) -> None:
        """Go ``num_batches`` batches ahead, over the ends of epochs if need be."""
        epochs, self._start = divmod(self._start + num_batches, self.num_batches)
        self.epoch += epochs

    def __iter__(self) -> Iterator[Draw]:
        epoch, start = self.epoch, self._start
        for batch in range(start, self.num_batches):
            for domain in (0, 1):
                first = batch * self.steps[domain] + self.rank * self.counts[domain]
                for position in range(first, first + self.counts[domain]):
                    yield self._draw(domain, epoch, position)

    def _draw(self, domain: int, epoch: int, position: int) -> Draw:
        """The draw at ``position`` of what all ranks draw from ``domain`` in ``epoch``."""
        size = self.sizes[domain]
        per_epoch = self.num_batches * self.steps[domain]
        overall = epoch * per_epoch + position
        if domain == self.covered:
            # Each epoch starts with a shuffle of its own, which it covers; what fills its last
            # batch comes from further ones, else the first images would be seen more often.
            shuffle, place = divmod(position, size)
            shuffle += epoch * math.ceil(per_epoch / size)
        else:
            shuffle, place = divmod(overall, size)
        index = int(self._shuffled(domain, shuffle)[place]) + domain * self.sizes[0]
        # Two purposes, two streams: images are drawn with 0, augmented with 1.
        seed = np.random.SeedSequence([self.seed, 1, domain, overall]).generate_state(1)[0]
        return Draw(index, int(seed))

    def _shuffled(self, domain: int, number: int) -> np.ndarray:
        """The ``number``-th shuffle of a domain, ``(size,)``."""
        kept = self._shuffles.get(domain)
        if kept is None or kept[0] != number:
            order = np.arange(self.sizes[domain])
            if self.shuffle:
                np.random.default_rng([self.seed, 0, domain, number]).shuffle(order)
            kept = self._shuffles[domain] = (number, order)
        return kept[1]


def split_batch(batch_size: int, ratio: Sequence[float]) -> Tuple[int, int]:
    """Source and target images in a batch, by largest remainder.

    >>> split_batch(64, (3, 1)), split_batch(7, (1, 1))
    ((48, 16), (4, 3))
    """
    if not isinstance(batch_size, int) or batch_size < 2:
        raise ValueError(f'batch_size must be an integer of at least 2, got {batch_size!r}')
    if len(ratio) != 2 or min(ratio) < 0 or sum(ratio) <= 0:
        raise ValueError(f'ratio must be two numbers, source to target, got {ratio!r}')
    # Of two shares, the larger remainder is the one of at least a half.
    source = math.floor(batch_size * ratio[0] / sum(ratio) + 0.5)
    counts = (source, batch_size - source)
    if min(counts) == 0:
        raise ValueError(
            f'ratio {tuple(ratio)} must leave an image of each domain in a batch of {batch_size}, '
            f'got {counts[0]} source and {counts[1]} target images; choose a larger batch_size or '
            'a ratio closer to 1 (to train on one domain, use its dataset and a DefaultSampler)')
    return counts
