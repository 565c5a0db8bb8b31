"""How well a learned surrogate stands for its metric: lists of estimates and values in."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr


def rank_correlation(estimates: Sequence[float], values: Sequence[float]) -> float | None:
    """Spearman's: 1 if estimates are in the order of the values; None if either never differs.

    >>> rank_correlation([0.1, 0.9, 2.5], [0, 1, 2])
    1.0
    """
    if len(set(estimates)) < 2 or len(set(values)) < 2:
        return None
    return round(float(spearmanr(estimates, values)[0]), 12)


def approximation_error(estimates: ArrayLike, values: ArrayLike) -> float:
    """Mean of ``|e_hat - e|`` (fig. 2 of Patel et al.), in the metric's unit.

    >>> approximation_error([0.1, 0.9], [0, 1])
    0.1
    """
    return round(float(np.abs(np.subtract(estimates, values)).mean()), 12)


def error_by_value(
    estimates: Sequence[float], values: Sequence[float], step: float = 0
) -> dict[float, float]:
    """:func:`approximation_error` of the pairs at each value, or up to half a ``step`` from it.

    >>> error_by_value([0.1, 0.5, 0.9], [0, 1, 1])
    {0: 0.1, 1: 0.3}
    """
    e_hat, e = np.asarray(estimates), np.asarray(values)
    at = (np.rint(e / step) * step).round(6) if step else e
    return {
        value.item(): approximation_error(e_hat[at == value], e[at == value])
        for value in np.unique(at)
    }
