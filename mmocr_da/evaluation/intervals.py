"""Confidence intervals of metrics, by bootstrap over images (Efron, 1979).

A test set is a sample: another one of the same size would give another accuracy. An interval covers
the value for all images of the kind, in 95 of 100 such samples, if the images are independent. It
knows nothing of images of another kind.

Every metric here is a ratio of two sums over the images, and so is the difference of two
recognizers on the same images. One resample of the images gives one value of the ratio; the
interval is between the percentiles of many. The functions compare texts unchanged; see
:func:`~mmocr_da.evaluation.functional.normalize`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from mmocr_da.arguments import check_count, check_number

from .functional import check_pairs, edit_distances

#: Random indexes in memory at a time: 32 MB.
CHUNK = 4_000_000


class Estimate(NamedTuple):
    """A value and the ends of its interval.

    >>> print(f'{Estimate(0.5, 0.402, 0.6):.1%}')
    50.0% (40.2% to 60.0%)
    """

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        value, low, high = (format(number, spec) for number in self)
        return f'{value} ({low} to {high})'


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Estimate a ratio of two sums over images, with its percentile interval.

    Two recognizers are compared by the differences of their numerators: pairs stay together in each
    resample, so the difficulty of the images drops out of the interval.

    Args:
        numerators: A number for each of N images, N at least 2.
        denominators: Another one, at least 0; None stands for 1, and the ratio for the mean.
        level: Share of test sets whose interval covers the value.
        num_resamples: How often N of the images are drawn, with replacement.
        seed: The same seed gives the same interval.

    Where all images agree, the interval is a point, and says no more than that other images are
    rarer than about 3 in N.

    >>> print(f'{ratio_interval([1, 0, 1, 1] * 25):.2f}')
    0.75 (0.67 to 0.83)
    >>> ratio_interval([1, 1, 1])
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    above = np.asarray(numerators, float)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, float)
    if above.ndim != 1 or above.shape != below.shape or len(above) < 2:
        raise ValueError(
            'an interval needs one numerator and one denominator for each of at least 2 images, '
            f'got the shapes {above.shape} and {below.shape}'
        )
    check_number('level', level, above=0, below=1)
    check_count('num_resamples', num_resamples)
    interval = bootstrap(
        (above, below),
        _ratio,
        n_resamples=num_resamples,
        batch=max(CHUNK // len(above), 1),
        paired=True,
        confidence_level=level,
        method='percentile',
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(float(_ratio(above, below)), float(interval.low), float(interval.high))


def word_accuracy_interval(
    predictions: Sequence[str],
    references: Sequence[str],
    baseline: Sequence[str] | None = None,
    **options: Any,
) -> Estimate:
    """Estimate the word accuracy, or by how much it is above that of ``baseline``.

    Args:
        predictions: N predictions.
        references: Their ground truths.
        baseline: Predictions of another recognizer for the same images. If they are given, the
            estimate is the accuracy of ``predictions`` minus theirs.
        **options: ``level``, ``num_resamples``, ``seed``, see :func:`ratio_interval`.

    >>> word_accuracy_interval(['a', 'b', 'c'], ['a', 'b', 'd'], baseline=['a', 'b', 'c'])
    Estimate(value=0.0, low=0.0, high=0.0)
    """
    right = _right(predictions, references)
    if baseline is not None:
        right = right - _right(baseline, references)
    return ratio_interval(right, **options)


def character_error_rate_interval(
    predictions: Sequence[str],
    references: Sequence[str],
    baseline: Sequence[str] | None = None,
    **options: Any,
) -> Estimate:
    """Estimate the character error rate, or by how much it is above that of ``baseline``.

    The arguments are those of :func:`word_accuracy_interval`. Below 0, ``predictions`` have fewer
    errors than ``baseline``.
    """
    edits = np.array(edit_distances(predictions, references))
    if baseline is not None:
        edits = edits - edit_distances(baseline, references)
    return ratio_interval(edits, [len(reference) for reference in references], **options)


def f1_interval(
    found: ArrayLike,
    counts: ArrayLike,
    baseline: tuple[ArrayLike, ArrayLike] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Estimate F1 of a detector, or by how much it is above that of ``baseline``.

    F1 is ``2 * found / (predicted + labelled)``, with sums over the images.

    Args:
        found: Regions of each of N images that were found, ``(N,)``; or ``(S, N)`` of S runs, of
            which the mean F1 counts.
        counts: Predicted and labelled regions together, of the same shape.
        baseline: ``found`` and ``counts`` of another detector, for the same images.
        level, num_resamples, seed: See :func:`ratio_interval`.

    >>> f1_interval([1, 2, 1], [4, 4, 2], baseline=([0, 1, 1], [3, 4, 3])).value
    0.4
    """

    def sums(found: ArrayLike, counts: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
        return 2 * np.asarray(found, float), counts

    other = None if baseline is None else sums(*baseline)
    return sums_interval(sums(found, counts), other, level, num_resamples, seed)


def sums_interval(
    values: tuple[ArrayLike, ArrayLike],
    baseline: tuple[ArrayLike, ArrayLike] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Estimate a ratio of two sums over images, of several runs, or its gain over a baseline.

    Args:
        values: Numerators and denominators of each of N images, ``(N,)`` each; or ``(S, N)`` of S
            runs, of which the mean ratio counts.
        baseline: The same of what is subtracted, for the same images, which stay together in each
            resample.
        level, num_resamples, seed: See :func:`ratio_interval`.

    >>> sums_interval(([1, 4], [2, 4]), baseline=([0, 3], [2, 4])).value.__round__(3)
    0.333
    """
    check_number('level', level, above=0, below=1)
    check_count('num_resamples', num_resamples)
    groups = [values] if baseline is None else [values, baseline]
    arrays = [tuple(np.atleast_2d(np.asarray(x, float)) for x in group) for group in groups]
    shapes = {x.shape[1:] for group in arrays for x in group}
    num_images = arrays[0][0].shape[-1]
    if len(shapes) > 1 or num_images < 2 or any(a.shape != b.shape for a, b in arrays):
        raise ValueError(
            'an interval needs numerators and denominators (of F1: found regions and counts) for '
            'each of at least 2 images, of both detectors alike, got the shapes '
            f'{[x.shape for group in arrays for x in group]}'
        )
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(num_images, np.full(num_images, 1 / num_images), num_resamples)
    # The first row is the images themselves.
    weights = np.concatenate([np.ones((1, num_images)), weights])
    ratios = [(weights @ a.T / np.maximum(weights @ b.T, 1)).mean(1) for a, b in arrays]
    value, *resampled = ratios[0] - ratios[1] if baseline is not None else ratios[0]
    low, high = np.percentile(resampled, [50 - 50 * level, 50 + 50 * level])
    return Estimate(float(value), float(low), float(high))


def _right(predictions: Sequence[str], references: Sequence[str]) -> NDArray[Any]:
    return np.array([float(p == r) for p, r in check_pairs(predictions, references)])


def _ratio(above: NDArray[Any], below: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    # The divisor is at least 1, as that of `character_error_rate`.
    return above.sum(axis) / np.maximum(below.sum(axis), 1)
