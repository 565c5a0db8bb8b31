import math

import pytest

from mmocr_da.models.schedules import SHAPES, Schedule


def test_limits_of_every_shape():
    assert [SHAPES[s](0) for s in ('constant', 'rising', 'falling', 'product')] == [1, 0, 0.5, 0]
    end = [SHAPES[s](1) for s in ('constant', 'rising', 'falling', 'product')]
    assert end == pytest.approx([1, 1, 0, 0], abs=1e-4)


def test_the_product_peaks_at_an_eighth():
    """(2s - 1)(1 - s) with s = sigmoid(10p) has its maximum 1/8 at s = 3/4, p = ln 3 / 10."""
    assert SHAPES['product'](math.log(3) / 10) == pytest.approx(0.125)
    assert max(SHAPES['product'](p / 1000) for p in range(1001)) <= 0.125 + 1e-12


def test_value_is_a_function_of_the_iteration(progress):
    schedule = Schedule('rising', 0.2)
    progress(30, 100)
    assert schedule.now() == schedule(0.3) == pytest.approx(0.2 * (2 / (1 + math.exp(-3)) - 1))
    progress(0, 100)
    assert schedule.now() == 0


def test_a_constant_needs_no_runner_and_the_others_say_so():
    assert Schedule('constant', 0.3).now() == 0.3
    with pytest.raises(RuntimeError, match='Runner'):
        Schedule('rising').now()


def test_unknown_shape_lists_the_known_ones():
    with pytest.raises(ValueError, match="constant, rising, falling, product, got 'cosine'"):
        Schedule('cosine')
