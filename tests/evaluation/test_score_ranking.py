"""Which score chooses well: limits, invariances and numbers by hand."""

import math

import numpy as np
import pytest

from mmocr_da.evaluation import rank_scores
from mmocr_da.evaluation.score_ranking import spearman


def run_of(accuracies, **scores):
    return [
        ({name: values[i] for name, values in scores.items()}, accuracy)
        for i, accuracy in enumerate(accuracies)
    ]


def by_name(*runs):
    return {rank.score: rank for rank in rank_scores(runs)}


def test_accuracy_itself_chooses_best_and_its_opposite_worst():
    accuracies = [0.3, 0.5, 0.9, 0.4]
    run = run_of(accuracies, same=accuracies, opposite=[-a for a in accuracies])
    ranks = by_name(run)
    assert ranks['same'][1:] == (pytest.approx(1), 1, pytest.approx(1), 0, 0)
    assert ranks['opposite'][1:] == (
        pytest.approx(-1),
        1,
        pytest.approx(-1),
        pytest.approx(0.6),
        pytest.approx(0.6),
    )
    assert list(ranks) == ['same', 'opposite']


def test_only_the_order_of_a_score_counts():
    rng = np.random.default_rng(0)
    accuracies, values = rng.random(9), rng.normal(size=9)
    ranks = by_name(run_of(accuracies, plain=values, other=np.exp(3 * values) - 7))
    assert ranks['plain'][1:] == ranks['other'][1:]


def test_within_and_over_runs_are_two_things():
    """A score that orders each run well, and has another level in the better run."""
    first = run_of([0.1, 0.2, 0.3], score=[11.0, 12.0, 13.0])
    second = run_of([0.7, 0.8, 0.9], score=[1.0, 2.0, 3.0])
    rank = by_name(first, second)['score']
    assert rank.within == pytest.approx(1) and rank.runs == 2
    # Ranks 4 5 6 1 2 3 of 1 to 6: 1 - 6 * 54 / (6 * 35).
    assert rank.overall == pytest.approx(1 - 6 * 54 / 210)
    assert rank.lost == rank.most_lost == 0


def test_losses_are_those_of_the_chosen_checkpoints():
    first = run_of([0.1, 0.2, 0.5], score=[1.0, 3.0, 2.0])  # loses 0.3
    second = run_of([0.9, 0.8], score=[2.0, 2.0])  # the first of equals, loses nothing
    rank = by_name(first, second)['score']
    assert (rank.lost, rank.most_lost) == (pytest.approx(0.15), pytest.approx(0.3))
    assert rank.runs == 1 and rank.within == pytest.approx(0.5)


def test_unknown_scores_are_left_out():
    run = run_of([0.9, 0.2, 0.5, 0.1], score=[math.nan, 3.0, 4.0, 1.0], none=[math.nan] * 4)
    run += [(dict(), 0.0)]
    ranks = by_name(run)
    assert ranks['score'].within == pytest.approx(1)
    assert ranks['score'].lost == pytest.approx(0.4)  # the best one has no score
    assert math.isnan(ranks['none'].lost) and ranks['none'].runs == 0


@pytest.mark.parametrize('pairs', [[], [(1, 2), (2, 3)], [(1, 1), (1, 2), (1, 3)]])
def test_there_is_no_correlation_where_nothing_varies(pairs):
    assert math.isnan(spearman(pairs))
