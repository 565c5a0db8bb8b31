"""Measures of how well a learned surrogate approximates its metric."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr


def rank_correlation(estimates: Sequence[float], values: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None if all estimates or all values are equal.

    >>> rank_correlation([0.1, 0.9, 2.5], [0, 1, 2])
    1.0
    """
    if len(set(estimates)) < 2 or len(set(values)) < 2:
        return None
    return round(float(spearmanr(estimates, values)[0]), 12)


def approximation_error(estimates: ArrayLike, values: ArrayLike) -> float:
    """Mean of ``|e_hat - e|`` (Fig. 2 of Patel et al.), in the metric's unit.

    >>> approximation_error([0.1, 0.9], [0, 1])
    0.1
    """
    return round(float(np.abs(np.subtract(estimates, values)).mean()), 12)


#: What to change if a surrogate misleads its model.
ADVICE = (
    'Give the surrogate more steps (surrogate_steps, warmup), set '
    "approximation='local-global', or lower the learning rate of the model"
)


#: What a surrogate must see of a change of its metric, as a share of it.
SEEN = 0.1


def misleads(estimate: float, estimate_error: float, value: float, value_error: float) -> bool:
    """Whether predictions became worse, and a surrogate says that they are better or as good.

    The metric must have risen by more than twice the standard error of its change, and the estimate
    by less than a tenth of that rise, beyond twice its own standard error.

    Args:
        estimate, value: Changes of the mean of ``e_hat`` and of ``e``.
        estimate_error, value_error: Their standard errors.

    >>> misleads(-1, 0.1, 1, 0.1), misleads(-1, 0.1, 1, 0.6), misleads(1, 0.1, 1, 0.1)
    (True, False, False)
    >>> misleads(0.01, 0.01, 20, 1)  # it does not see what has happened
    True
    """
    return value > 2 * value_error and estimate + 2 * estimate_error < SEEN * value


def error_by_value(
    estimates: Sequence[float], values: Sequence[float], step: float = 0
) -> dict[float, float]:
    """:func:`approximation_error` of the pairs at each value.

    Args:
        step: Values are rounded to multiples of it; 0 does not round.

    Returns:
        Errors by value, in ascending order of the values.

    >>> error_by_value([0.1, 0.5, 0.9], [0, 1, 1])
    {0: 0.1, 1: 0.3}
    """
    e_hat, e = np.asarray(estimates), np.asarray(values)
    rounded = (np.rint(e / step) * step).round(6) if step else e
    return {
        value.item(): approximation_error(e_hat[rounded == value], e[rounded == value])
        for value in np.unique(rounded)
    }
