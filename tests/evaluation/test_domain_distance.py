"""The proxy A-distance: its limits, what it ignores, and whose images are in a half."""

import math

import numpy as np
import pytest

from mmocr_da.evaluation.domain_distance import balanced_accuracy, proxy_a_distance

IS_TARGET = np.arange(200) >= 100


def features(shift, seed=0, width=5):
    x = np.random.default_rng(seed).normal(size=(200, width))
    x[IS_TARGET, 0] += shift
    return x


def test_it_rises_from_0_to_2_with_the_shift():
    found = [proxy_a_distance(features(shift), IS_TARGET) for shift in (0, 1, 2, 20)]
    assert found[0] < 0.3 and found == sorted(found) and found[-1] == 2


def test_a_shift_by_two_deviations_is_that_of_the_best_classifier():
    """Of two unit Gaussians 2 apart, the best error is that of a Gaussian beyond 1: 0.1587."""
    found = np.mean([proxy_a_distance(features(2, seed, 1), IS_TARGET) for seed in range(5)])
    assert found == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.1)


def test_scales_and_names_of_the_domains_do_not_matter():
    x = features(1)
    found = proxy_a_distance(x, IS_TARGET)
    assert proxy_a_distance(x * [1000, 1, 1, 1, 1] + 7, IS_TARGET) == pytest.approx(found)
    assert proxy_a_distance(x, ~IS_TARGET) == pytest.approx(found, abs=0.2)


def test_more_features_of_a_domain_are_no_way_to_tell_it():
    kept = np.arange(200) < 120
    assert proxy_a_distance(features(0)[kept], IS_TARGET[kept]) < 0.4


def test_features_of_an_image_are_in_one_half():
    """Ten features of an image are the same: one of them tells the domain of the others."""
    images = np.arange(200) // 10
    x = np.random.default_rng(0).normal(size=(20, 30))[images]
    assert proxy_a_distance(x, IS_TARGET) == 2
    assert proxy_a_distance(x, IS_TARGET, images) < 1.2


def test_a_seed_fixes_it():
    x = features(0.5)
    assert proxy_a_distance(x, IS_TARGET, seed=3) == proxy_a_distance(x, IS_TARGET, seed=3)
    assert len({proxy_a_distance(x, IS_TARGET, seed=seed) for seed in range(3)}) > 1


def test_one_image_of_a_domain_says_nothing():
    assert math.isnan(proxy_a_distance(np.eye(4), [0, 0, 0, 1]))
    assert math.isnan(proxy_a_distance(np.eye(4), [0, 0, 1, 1], groups=[0, 1, 2, 2]))


def test_other_shapes_are_an_error():
    with pytest.raises(ValueError, match=r'must be \(n, D\) and is_target \(n,\), got \(4,\)'):
        proxy_a_distance(np.ones(4), [0, 0, 1, 1])


def test_balanced_accuracy_by_hand():
    assert balanced_accuracy([-1, -2, 3, -1], [1, -1]) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert balanced_accuracy([0, -1], [0]) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_one_side_for_all_is_chance_however_many_images_a_domain_has():
    assert balanced_accuracy([1] * 99, [1]) == balanced_accuracy([-1], [-1] * 5) == 0.5


def test_balanced_accuracy_does_not_depend_on_the_names_of_the_domains():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=30), rng.normal(size=20) + 0.5
    assert balanced_accuracy(a, b) == pytest.approx(balanced_accuracy(-b, -a))


def test_a_missing_domain_has_no_accuracy():
    assert math.isnan(balanced_accuracy([], [1])) and math.isnan(balanced_accuracy([1], []))
