"""Scores without labels: limits, invariances, oracles from the equations, known values."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from mmocr_da.evaluation import label_free
from mmocr_da.evaluation.label_free import (
    CharacterLanguageModel,
    DensityRatio,
    batch_nuclear_norm,
    certainty,
    importance_weighted_risk,
    information,
    length_plausibility,
    soft_neighbourhood_density,
)

OF_PROBABILITIES = certainty, information, soft_neighbourhood_density, batch_nuclear_norm


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def softmaxes(rng, rows=40, classes=6, scale=2.0):
    return torch.tensor(rng.normal(0, scale, (rows, classes))).softmax(1)


def entropy(p):
    return -sum(x * math.log(x) for x in p if x > 0)


def oracle(p, temperature=0.05):
    p = p.double().numpy()
    count, classes = p.shape
    unit = p / np.sqrt((p**2).sum(1, keepdims=True))
    density = 0.0
    for i in range(count):
        scores = [math.exp(unit[i] @ unit[j] / temperature) for j in range(count) if j != i]
        density += entropy([s / sum(scores) for s in scores]) / count
    mean = sum(entropy(row) for row in p) / count
    return {
        certainty: -mean,
        information: entropy(p.mean(0)) - mean,
        soft_neighbourhood_density: density,
        batch_nuclear_norm: np.linalg.svd(p, compute_uv=False).sum()
        / math.sqrt(count * min(count, classes)),
    }


@pytest.mark.parametrize('function', OF_PROBABILITIES)
@pytest.mark.parametrize('shape', [(40, 6), (3, 6), (2, 2)])
def test_scores_of_probabilities_are_those_of_the_equations(rng, function, shape):
    p = softmaxes(rng, *shape)
    assert function(p) == pytest.approx(oracle(p)[function], rel=1e-9)
    assert function(p.float()) == pytest.approx(function(p), rel=1e-5)


@pytest.mark.parametrize('function', OF_PROBABILITIES)
def test_neither_the_order_of_characters_nor_that_of_classes_counts(rng, function):
    p = softmaxes(rng)
    shuffled = p[torch.randperm(len(p))][:, torch.randperm(p.size(1))]
    assert function(shuffled) == pytest.approx(function(p))


@pytest.mark.parametrize('function', [certainty, information, batch_nuclear_norm])
@pytest.mark.parametrize('scale', [0.0, 1.0, 4.0])
def test_certain_and_diverse_characters_have_the_highest_score(rng, function, scale):
    best = function(torch.eye(6)[torch.arange(60) % 6])
    assert function(softmaxes(rng, 60, scale=scale)) < best


def test_dense_clusters_have_more_neighbours_than_scattered_characters(rng):
    centres = torch.eye(6)[torch.arange(60) % 6]
    noise = softmaxes(rng, 60)
    densities = [
        soft_neighbourhood_density((1 - share) * centres + share * noise) for share in (0, 0.1, 0.3)
    ]
    assert densities == sorted(densities, reverse=True)


def test_limits():
    uniform, classes = torch.full((5, 4), 0.25), torch.eye(4)
    assert certainty(classes) == 0 and certainty(uniform) == pytest.approx(-math.log(4))
    assert information(classes) == pytest.approx(math.log(4))
    assert information(uniform) == pytest.approx(0)
    assert soft_neighbourhood_density(uniform) == pytest.approx(math.log(4))
    assert soft_neighbourhood_density(torch.eye(4)) == pytest.approx(math.log(3))
    assert batch_nuclear_norm(classes) == pytest.approx(1)
    # One singular value, sqrt(M).
    assert batch_nuclear_norm(classes[[0] * 9]) == pytest.approx(1 / 2)


@pytest.mark.parametrize('function', OF_PROBABILITIES)
def test_too_few_characters_have_no_score(function):
    assert math.isnan(function(torch.zeros(0, 4)))
    with pytest.raises(ValueError, match=r'must be \(M, K\), got \(2, 3, 4\)'):
        function(torch.zeros(2, 3, 4))


def test_the_density_does_not_depend_on_the_chunks(rng, monkeypatch):
    p = softmaxes(rng)
    whole = soft_neighbourhood_density(p)
    monkeypatch.setattr(label_free, 'CHUNK', 7)
    assert soft_neighbourhood_density(p) == pytest.approx(whole, rel=1e-12)


def test_probabilities_of_all_texts_sum_to_1():
    """Of one character more than the model has seen, for all unknown ones."""
    model = CharacterLanguageModel(['ab', 'b', 'bba'], order=3)
    for history in ('\x02\x02', 'ab', 'bb', 'a?', 'zz'):
        total = sum(model._probability(char, history) for char in ('a', 'b', '\x03', '?'))
        assert total == pytest.approx(1)
    # Texts of at most 7 characters have nearly all of the probability.
    texts = (''.join(t) for n in range(8) for t in itertools.product('ab?', repeat=n))
    assert 0.99 < sum(math.exp(model.log_probability(text)) for text in texts) < 1


def test_the_language_model_is_that_of_witten_and_bell():
    texts = ['ab', 'abb', 'ba']
    model = CharacterLanguageModel(texts, order=2)
    pairs = Counter(pair for t in texts for pair in zip('^' + t, t + '$'))
    singles = Counter(char for t in texts for char in t + '$')

    def probability(char, before):
        unigram = (singles[char] + len(singles) / 4) / (sum(singles.values()) + len(singles))
        after = {b: n for (a, b), n in pairs.items() if a == before}
        if not after:
            return unigram
        return (after.get(char, 0) + len(after) * unigram) / (sum(after.values()) + len(after))

    for text in ('ab', '', 'bbx', 'xa'):
        steps = zip('^' + text, text + '$')
        expected = sum(math.log(probability(char, before)) for before, char in steps)
        assert model.log_probability(text) == pytest.approx(expected)
    assert model.plausibility(['ab', 'x']) == pytest.approx(
        (model.log_probability('ab') + model.log_probability('x')) / 5
    )
    assert math.isnan(model.plausibility([]))
    with pytest.raises(ValueError, match='needs texts, got none'):
        CharacterLanguageModel([])


def test_a_repeated_text_counts_as_often():
    twice = CharacterLanguageModel(['ab', 'ab', 'c'])
    once = CharacterLanguageModel(['ab', 'c'])
    assert twice.log_probability('ab') > once.log_probability('ab')


def test_plausibility_of_lengths():
    words = ['', 'a', 'abc']
    assert length_plausibility(words, words[::-1]) == 0
    assert length_plausibility(['abc'], words) == pytest.approx(-(3 + 2 + 0) / 3)
    assert math.isnan(length_plausibility([], words))


def test_the_density_ratio_of_two_normal_distributions(rng):
    """The log of the ratio of N(1, 1) to N(0, 1) is ``x - 1/2``, whatever the numbers are."""
    ratio = DensityRatio(rng.normal(0, 1, (20_000, 1)), rng.normal(1, 1, (5_000, 1)))
    points = np.array([[-1.0], [0.0], [0.5], [2.0]])
    assert np.log(ratio(points)) == pytest.approx(points[:, 0] - 0.5, abs=0.1)


def test_features_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r'got \(0, 2\) and \(3, 2\)'):
        DensityRatio(np.zeros((0, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r'got \(3, 1\) and \(3, 2\)'):
        DensityRatio(np.zeros((3, 1)), np.zeros((3, 2)))


def test_the_weighted_risk_estimates_that_of_the_target(rng):
    """Losses ``x > 1`` of the source N(0, 1), for the target N(1, 1): the half of it."""
    errors = {'plain': [], 'controlled': []}
    for _ in range(200):
        x = rng.normal(0, 1, 500)
        loss, ratio = (x > 1).astype(float), np.exp(x - 0.5)
        errors['plain'].append((ratio * loss).mean() - 0.5)
        errors['controlled'].append(importance_weighted_risk(loss, ratio) - 0.5)
    assert abs(np.mean(errors['controlled'])) < 0.02
    assert np.std(errors['controlled']) < 0.5 * np.std(errors['plain'])


def test_the_weighted_risk_of_equal_ratios_is_the_mean():
    assert importance_weighted_risk([0.0, 1.0, 2.0], [1.0, 1.0, 1.0]) == 1
    # A loss that is the same everywhere is known, whatever the weights are.
    assert importance_weighted_risk([3.0] * 4, [0.1, 0.2, 5.0, 1.0]) == pytest.approx(3)
    assert math.isnan(importance_weighted_risk([], []))
    with pytest.raises(ValueError, match=r'must be \(n,\), got \(2,\) and \(3,\)'):
        importance_weighted_risk([0, 1], [1, 1, 1])
