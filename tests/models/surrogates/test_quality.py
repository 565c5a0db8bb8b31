"""Measures of a surrogate, by hand and by law."""

import numpy as np
import pytest

from mmocr_da.models.surrogates.quality import approximation_error, error_by_value, rank_correlation


def test_order_is_all_that_rank_correlation_sees():
    rng = np.random.default_rng(0)
    values = rng.permutation(20).tolist()
    for estimates, wanted in ((np.exp(values), 1), (-np.exp(values), -1)):
        assert rank_correlation(estimates.tolist(), values) == wanted


def test_ties_count_half():
    """Ranks 1, 2, 3 and 1.5, 1.5, 3: 1.5 / sqrt(2 * 1.5)."""
    assert rank_correlation([1.0, 2.0, 3.0], [0, 0, 1]) == pytest.approx(1.5 / 3**0.5)


@pytest.mark.parametrize(
    'pairs', [([], []), ([1.0], [2]), ([1.0, 2.0], [3, 3]), ([1.0, 1.0], [3, 4])]
)
def test_without_an_order_there_is_no_correlation(pairs, recwarn):
    assert rank_correlation(*pairs) is None and not recwarn


def test_error_by_hand():
    estimates, values = [0.5, 1.0, 2.5, 4.0], [0, 1, 2, 2]
    assert approximation_error(estimates, values) == (0.5 + 0 + 0.5 + 2) / 4
    assert error_by_value(estimates, values) == {0: 0.5, 1: 0.0, 2: 1.25}
