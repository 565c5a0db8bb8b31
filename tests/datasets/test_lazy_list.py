"""A list that makes its items; indexes that are spread over a large one."""

import copy

import numpy as np
import pytest

from mmocr_da.datasets.lazy_list import LazyList, stratified


def make(number):
    return dict(key=number)


@pytest.fixture(params=[range(1, 8), np.arange(1, 8)], ids=['range', 'array'])
def pair(request):
    """A lazy list and the list that it stands for."""
    return LazyList(make, request.param), [make(i) for i in range(1, 8)]


def test_it_is_the_list_of_what_it_makes(pair):
    lazy, plain = pair
    assert len(lazy) == len(plain) and list(lazy) == plain
    assert [lazy[i] for i in range(-7, 7)] == [plain[i] for i in range(-7, 7)]
    for part in (slice(3), slice(-3, None), slice(1, 6, 2), slice(0), slice(None, None, -1)):
        assert isinstance(lazy[part], LazyList) and list(lazy[part]) == plain[part]
    for indexes in ([4, 0, 0, -1], [], range(2, 5), np.array([6, 1])):
        assert list(lazy[indexes]) == [plain[i] for i in indexes]
    for index in (7, -8, [0, 7], [-8]):
        with pytest.raises(IndexError):
            lazy[index]
    assert lazy[np.int64(2)] == plain[2]


def test_items_are_made_when_they_are_asked_for():
    made = []
    lazy = LazyList(made.append, range(10**12))[5:][:100][[3, 4]]
    assert len(lazy) == 2 and made == []
    lazy[1]
    assert made == [9]


def test_a_deep_copy_does_not_copy_what_makes_the_items():
    class Dataset:
        def make(self, number):
            return number

        def __deepcopy__(self, memo):
            raise AssertionError('copied')

    assert list(copy.deepcopy(LazyList(Dataset().make, range(3)))) == [0, 1, 2]


@pytest.mark.parametrize('size, most', [(0, 3), (3, 3), (4, 3), (1000, 7), (10**10, 100)])
def test_each_equal_part_has_one_index(size, most):
    chosen = list(stratified(size, most))
    assert chosen == list(stratified(size, most))
    assert len(chosen) == min(size, most)
    if size > most:
        for k, index in enumerate(chosen):
            assert size * k // most <= index < size * (k + 1) // most


def test_the_indexes_follow_no_period():
    chosen = np.array(stratified(100_000, 1000))
    assert len(np.unique(chosen % 100)) > 95
