import math

import numpy as np
import pytest

from mmocr_da.arguments import check_count, check_number


@pytest.mark.parametrize(
    'value', ['abc', '0.3', None, True, [1], 1j, math.nan, math.inf, np.float32('nan'), -0.001, 1]
)
def test_what_is_no_number_within_the_bounds_is_named(value):
    with pytest.raises(ValueError) as error:
        check_number('weight', value, least=0, below=1, why='it is a share')
    assert str(error.value) == (
        f'weight must be a number of at least 0 and below 1, got {value!r}: it is a share'
    )


@pytest.mark.parametrize('value', [0, 0.5, np.float32(0.25), np.int64(0), 1 - 1e-9])
def test_every_kind_of_number_will_do(value):
    check_number('weight', value, least=0, below=1)


@pytest.mark.parametrize(
    'bounds, fits, does_not',
    [
        (dict(least=1), 1, 0.99),
        (dict(above=1), 1.01, 1),
        (dict(most=1), 1, 1.01),
        (dict(below=1), 0.99, 1),
        ({}, -1e30, math.inf),
    ],
)
def test_bounds(bounds, fits, does_not):
    check_number('x', fits, **bounds)
    with pytest.raises(ValueError, match=f'^x must be a number .*, got {does_not}$'):
        check_number('x', does_not, **bounds)


@pytest.mark.parametrize('value', [0, 1.0, '1', True, None, math.nan, 6])
def test_what_is_no_count_is_named(value):
    with pytest.raises(
        ValueError,
        match=r'steps must be an integer of at least 1 and of at most '
        r'5 \(iterations\), got',
    ):
        check_count('steps', value, most=5, of='iterations')


@pytest.mark.parametrize('value', [1, np.int32(5)])
def test_integers_are_counts(value):
    check_count('steps', value, most=5)
