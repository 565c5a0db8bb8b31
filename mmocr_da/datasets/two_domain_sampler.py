"""Batches with a fixed mix of the two domains."""

import math
from collections.abc import Sequence

from mmocr_da.arguments import check_count
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

    With ``ratio=(0, 1)`` all images are of the target, which a dataset without source needs.

    mmdet's ``MultiSourceSampler`` has the same purpose. It is not the base class: it draws from
    generators that have no position, never ends an epoch, and loops forever if a share rounds to 0.

    Args:
        dataset: A :class:`TwoDomainDataset` (or a concatenation of two datasets).
        batch_size: Images per batch and rank; equal to the dataloader's ``batch_size``.
        ratio: Source to target images in a batch; shares are rounded by largest remainder. A share
            of 0 leaves the domain out.
        epoch: The domain that an epoch covers once: ``'source'``, ``'target'``, or the domain with
            the ``'longest'`` or ``'shortest'`` epoch. By default the source, if there is one.
        seed, shuffle, round_up: See :class:`SeededSampler`.

    Raises:
        ValueError: If a domain with a share is empty or would have no image in a batch.

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
        epoch: str | None = None,
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
        counts = split_batch(batch_size, ratio)
        drawn = [i for i, count in enumerate(counts) if count]
        if any(sizes[i] < 1 for i in drawn):
            raise ValueError(
                f'a domain that batches are drawn from needs images, got {sizes[0]} source and '
                f'{sizes[1]} target images for ratio={tuple(ratio)}; to train on the target alone, '
                'set ratio=(0, 1)'
            )
        if epoch is None:
            epoch = DOMAINS[drawn[0]]
        if epoch not in EPOCHS:
            raise ValueError(f'epoch must be one of {", ".join(EPOCHS)}, got {epoch!r}')
        if epoch in DOMAINS:
            covered = DOMAINS.index(epoch)
            if covered not in drawn:
                raise ValueError(
                    f'epoch must be a domain that batches are drawn from, got {epoch!r} for '
                    f'ratio={tuple(ratio)}'
                )
        else:
            choose = max if epoch == 'longest' else min
            covered = choose(drawn, key=lambda i: batches_to_cover(sizes[i], counts[i], round_up))
        self._set_up(sizes, counts, covered, seed, shuffle, round_up)


def split_batch(batch_size: int, ratio: Sequence[float]) -> tuple[int, int]:
    """Compute the numbers of source and target images in a batch, by largest remainder.

    Raises:
        ValueError: If a domain with a share would have no image in a batch.

    >>> split_batch(64, (3, 1)), split_batch(7, (1, 1)), split_batch(7, (0, 1))
    ((48, 16), (4, 3), (0, 7))
    """
    numbers = isinstance(ratio, (list, tuple)) and len(ratio) == 2
    numbers = numbers and all(type(x) in (int, float) and 0 <= x < math.inf for x in ratio)
    if not numbers or sum(ratio) <= 0:
        raise ValueError(f'ratio must be two numbers, source to target, got {ratio!r}')
    least = sum(share > 0 for share in ratio)
    check_count('batch_size', batch_size, least)
    # With two shares, the larger remainder is the one of at least a half.
    source = math.floor(batch_size * ratio[0] / sum(ratio) + 0.5)
    counts = (source, batch_size - source)
    if any(share and not count for share, count in zip(ratio, counts)):
        raise ValueError(
            f'ratio {tuple(ratio)} must leave an image of each domain in a batch of {batch_size}, '
            f'got {counts[0]} source and {counts[1]} target images; choose a larger batch_size or '
            'a ratio closer to 1 (to leave a domain out, give it a share of 0)'
        )
    return counts
