"""Batches with a fixed mix of the two domains."""

import math
from collections.abc import Sequence

from mmocr_da.domains import DOMAINS
from mmocr_da.registry import DATA_SAMPLERS

from .seeded_sampler import SeededSampler, batches_to_cover

EPOCHS = (*DOMAINS, 'longest', 'shortest')


@DATA_SAMPLERS.register_module()
class TwoDomainSampler(SeededSampler):
    """Batches with a fixed number of source and of target images.

    Each batch holds first its source, then its target images. An epoch covers one domain. The other
    is cycled: its shuffles continue across epochs, so that the numbers of draws of two images of
    its domain never differ by more than one.

    As with :class:`SeededSampler`, the ``b``-th batch of epoch ``e`` is a function of
    ``(seed, e, b)``. In each step, ``R`` ranks with ``batch_size = B / R`` together draw the same
    images as one process with ``batch_size = B``, if ``B / R`` splits by the ratio without a
    remainder.

    mmdet's ``MultiSourceSampler`` has the same purpose. It is not the base class: it draws from
    generators that have no position, never ends an epoch, and loops forever if a share rounds to 0.

    Args:
        dataset: A :class:`TwoDomainDataset` (or a concatenation of two datasets).
        batch_size: Images per batch and rank; equal to the dataloader's ``batch_size``.
        ratio: Source to target images in a batch; shares are rounded by largest remainder.
        epoch: The domain that an epoch covers once: ``'source'``, ``'target'``, or the domain with
            the ``'longest'`` or ``'shortest'`` epoch.
        seed, shuffle, round_up: See :class:`SeededSampler`.

    Raises:
        ValueError: If a domain is empty or would have no image in a batch.

    >>> from types import SimpleNamespace
    >>> dataset = SimpleNamespace(domain_sizes=(4, 3))
    >>> sampler = TwoDomainSampler(dataset, batch_size=3, ratio=(2, 1), shuffle=False)
    >>> [int(i) for i in sampler]  # two batches cover the four source images
    [0, 1, 4, 2, 3, 5]
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        ratio: Sequence[float] = (1, 1),
        epoch: str = 'source',
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
    ) -> None:
        sizes = getattr(dataset, 'domain_sizes', None)
        if sizes is None:
            ends = list(getattr(dataset, 'cumulative_sizes', []))
            if len(ends) != 2:
                raise ValueError(
                    'TwoDomainSampler needs a mmocr_da.TwoDomainDataset, got a '
                    f'{type(dataset).__name__}'
                )
            sizes = (ends[0], ends[1] - ends[0])
        if min(sizes) < 1:
            raise ValueError(
                f'both domains need images, got {sizes[0]} source and {sizes[1]} target images'
            )
        if epoch not in EPOCHS:
            raise ValueError(f'epoch must be one of {", ".join(EPOCHS)}, got {epoch!r}')
        counts = split_batch(batch_size, ratio)
        if epoch in DOMAINS:
            covered = DOMAINS.index(epoch)
        else:
            lengths = [batches_to_cover(*part, round_up) for part in zip(sizes, counts)]
            covered = lengths.index((max if epoch == 'longest' else min)(lengths))
        self._set_up(sizes, counts, covered, seed, shuffle, round_up)


def split_batch(batch_size: int, ratio: Sequence[float]) -> tuple[int, int]:
    """Compute the numbers of source and target images in a batch, by largest remainder.

    Raises:
        ValueError: If a domain would have no image in a batch.

    >>> split_batch(64, (3, 1)), split_batch(7, (1, 1))
    ((48, 16), (4, 3))
    """
    if not isinstance(batch_size, int) or batch_size < 2:
        raise ValueError(f'batch_size must be an integer of at least 2, got {batch_size!r}')
    if len(ratio) != 2 or min(ratio) < 0 or sum(ratio) <= 0:
        raise ValueError(f'ratio must be two numbers, source to target, got {ratio!r}')
    # With two shares, the larger remainder is the one of at least a half.
    source = math.floor(batch_size * ratio[0] / sum(ratio) + 0.5)
    counts = (source, batch_size - source)
    if min(counts) == 0:
        raise ValueError(
            f'ratio {tuple(ratio)} must leave an image of each domain in a batch of {batch_size}, '
            f'got {counts[0]} source and {counts[1]} target images; choose a larger batch_size or '
            'a ratio closer to 1 (to train on one domain, use its dataset and a DefaultSampler)'
        )
    return counts
