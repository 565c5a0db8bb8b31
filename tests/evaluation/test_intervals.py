import time

import numpy as np
import pytest

from mmocr_da.evaluation import (
    Estimate,
    character_error_rate,
    character_error_rate_interval,
    edit_distances,
    f1_interval,
    ratio_interval,
    word_accuracy,
    word_accuracy_interval,
)

INTERVALS = {
    word_accuracy_interval: word_accuracy,
    character_error_rate_interval: character_error_rate,
}


def words(seed, num=60, errors=0.5):
    """Predictions and ground truths; a share of the characters is wrong."""
    rng = np.random.default_rng(seed)
    references = [''.join(rng.choice(list('abcd'), rng.integers(1, 9))) for _ in range(num)]
    right = rng.random(num) > errors
    return [r if ok else r[1:] + 'x' for r, ok in zip(references, right)], references


@pytest.mark.parametrize('interval', INTERVALS)
def test_the_value_is_that_of_the_metric_and_lies_in_the_interval(interval):
    value, low, high = interval(*words(0))
    assert value == pytest.approx(INTERVALS[interval](*words(0)))
    assert low < value < high


@pytest.mark.parametrize('interval', INTERVALS)
def test_a_recognizer_does_not_differ_from_itself(interval):
    predictions, references = words(0)
    assert interval(predictions, references, baseline=predictions) == (0, 0, 0)


@pytest.mark.parametrize('interval', INTERVALS)
def test_exchanging_the_recognizers_changes_the_sign(interval):
    references = words(0)[1]
    a, b = (words(0, errors=errors)[0] for errors in (0.2, 0.6))
    forth = interval(a, references, baseline=b)
    back = interval(b, references, baseline=a)
    assert forth == pytest.approx((-back.value, -back.high, -back.low))
    assert forth.value == pytest.approx(
        interval(a, references).value - interval(b, references).value
    )


def test_pairs_stay_together():
    # Both are right on the same half of the images, and one on 5 % more: the halves' chance is in
    # both, and the interval of the difference is that of the 5 %.
    baseline = np.repeat([0, 1], 100)
    better = baseline.copy()
    better[:10] = 1
    paired = ratio_interval(better - baseline)
    separate = [ratio_interval(values) for values in (better, baseline)]
    assert 0 < paired.low < paired.value == 0.05 < paired.high < 0.09
    assert all(high - low > 0.13 for _, low, high in separate)


@pytest.mark.parametrize('interval', INTERVALS)
def test_fewer_images_give_a_wider_interval(interval):
    widths = []
    for repeats in (1, 4, 16):
        predictions, references = words(0)
        _, low, high = interval(predictions * repeats, references * repeats)
        widths.append(high - low)
    # The width falls with the root of the number of images.
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.15)


def test_a_higher_level_gives_a_wider_interval():
    values = np.arange(50) % 7
    assert (
        np.diff([ratio_interval(values, level=level).low for level in (0.5, 0.9, 0.99)]).max() < 0
    )


def test_a_scale_of_the_numbers_is_one_of_the_interval():
    edits, lengths = np.arange(40) % 5, np.arange(40) % 3 + 1
    expected = np.array(ratio_interval(edits, lengths))
    np.testing.assert_allclose(ratio_interval(3 * edits, lengths), 3 * expected)
    np.testing.assert_allclose(ratio_interval(edits, 2 * lengths), expected / 2)


def test_the_mean_is_the_ratio_to_the_number_of_images():
    values = np.arange(30) % 4
    assert ratio_interval(values) == ratio_interval(values, np.ones(30))


def test_the_seed_decides_and_nothing_else():
    values = np.random.default_rng(0).random(100)
    np.random.seed(1)
    first = ratio_interval(values, seed=3)
    state = np.random.get_state()[1].copy()
    assert ratio_interval(values, seed=3) == first != ratio_interval(values, seed=4)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_the_interval_is_that_of_a_loop_over_resamples():
    rng = np.random.default_rng(7)
    edits, lengths = rng.integers(0, 5, 50), rng.integers(1, 9, 50)
    ratios = []
    for _ in range(5000):
        chosen = [rng.integers(50) for _ in range(50)]
        ratios.append(sum(edits[i] for i in chosen) / sum(lengths[i] for i in chosen))
    estimate = ratio_interval(edits, lengths, num_resamples=5000)
    assert estimate.value == edits.sum() / lengths.sum()
    np.testing.assert_allclose(estimate[1:], np.percentile(ratios, [2.5, 97.5]), atol=0.01)


@pytest.mark.parametrize('kind', ['mean', 'ratio', 'difference'])
def test_the_interval_covers_the_value_of_all_images_in_19_of_20_test_sets(kind):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        lengths = rng.integers(1, 10, 150)
        right = rng.random(150) < 0.3
        edits = rng.binomial(lengths, 0.2)
        if kind == 'mean':
            estimate, truth = ratio_interval(right, num_resamples=400), 0.3
        elif kind == 'ratio':
            estimate, truth = ratio_interval(edits, lengths, num_resamples=400), 0.2
        else:  # a tenth of what was wrong becomes right
            better = right | (rng.random(150) < 0.1)
            difference = better.astype(int) - right
            estimate, truth = ratio_interval(difference, num_resamples=400), 0.07
        covered += estimate.low <= truth <= estimate.high
    assert 0.91 < covered / 400 < 0.98


def test_a_large_test_set_takes_well_under_a_second():
    edits, lengths = np.arange(2500) % 5, np.arange(2500) % 7 + 1
    start = time.process_time()
    ratio_interval(edits, lengths)
    assert time.process_time() - start < 1


def test_resamples_in_chunks_are_those_in_one(monkeypatch):
    values = np.random.default_rng(0).random(64)
    whole = ratio_interval(values)
    monkeypatch.setattr('mmocr_da.evaluation.intervals.CHUNK', 64 * 300)
    assert ratio_interval(values) == whole


def test_empty_ground_truths_have_a_finite_rate():
    assert character_error_rate_interval(['a', ''], ['', '']).value == 1


def test_numbers_by_hand():
    # Of two images, a resample has the first never, once or twice: 1/4, 1/2, 1/4.
    assert ratio_interval([0, 4], [1, 3]) == Estimate(1.0, 0.0, 4 / 3)
    assert edit_distances(['ab', ''], ['b', 'xy']) == [1, 2]
    assert f'{Estimate(0.25, 0.125, 0.5):.1%}' == '25.0% (12.5% to 50.0%)'


@pytest.mark.parametrize(
    'numerators, denominators, options, message',
    [
        ([1], None, {}, r'each of at least 2 images, got the shapes \(1,\) and \(1,\)'),
        ([], None, {}, 'at least 2 images'),
        ([1, 2], [1, 2, 3], {}, r'got the shapes \(2,\) and \(3,\)'),
        ([[1, 2]], None, {}, r'got the shapes \(1, 2\)'),
        ([1, 2], None, dict(level=95), 'level must be a number above 0 and below 1, got 95'),
        ([1, 2], None, dict(num_resamples=0), 'num_resamples must be an integer of at least 1'),
    ],
)
def test_what_has_no_interval_is_an_error(numerators, denominators, options, message):
    with pytest.raises(ValueError, match=message):
        ratio_interval(numerators, denominators, **options)


@pytest.mark.parametrize('interval', INTERVALS)
def test_texts_that_cannot_be_paired_are_an_error(interval):
    with pytest.raises(ValueError, match='got 1 predictions for 2 references'):
        interval(['a'], ['a', 'b'])
    with pytest.raises(ValueError, match='got 1 predictions for 2 references'):
        interval(['a', 'b'], ['a', 'b'], baseline=['a'])


def test_the_interval_of_f1_is_that_of_a_slow_bootstrap():
    """Resamples of images, which stay together for all runs and for both detectors."""
    rng = np.random.default_rng(0)
    labelled = rng.integers(1, 9, 60)
    runs = [
        (rng.binomial(labelled, [[p], [p]]), labelled + rng.poisson(4, (2, 60))) for p in (0.7, 0.4)
    ]
    found = f1_interval(*runs[0], baseline=runs[1])
    draws = []
    for images in [np.arange(60), *rng.integers(0, 60, (3000, 60))]:
        means = [
            np.mean([2 * h[images].sum() / c[images].sum() for h, c in zip(*run)]) for run in runs
        ]
        draws.append(means[0] - means[1])
    assert found.value == pytest.approx(draws[0])
    assert found[1:] == pytest.approx(np.percentile(draws[1:], [2.5, 97.5]), abs=0.01)
    alone = f1_interval(*runs[0])
    assert alone.low < alone.value < alone.high
    assert f1_interval(*runs[0], baseline=runs[0])[:] == (0, 0, 0)


def test_f1_of_nothing_is_0_and_of_few_images_an_error():
    assert f1_interval([0, 0], [0, 0])[:] == (0, 0, 0)
    for arguments in (([1], [2]), ([1, 1], [2]), ([1, 1], [2, 2], ([1, 1, 1], [2, 2, 2]))):
        with pytest.raises(ValueError, match=r'found regions and counts\) for each of at least'):
            f1_interval(*arguments)
