"""Which score of checkpoints chooses well: rank correlation with the accuracy, and what is lost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: With fewer checkpoints there is no correlation.
LEAST = 3


class ScoreRank(NamedTuple):
    """How well a score chooses among the checkpoints of several runs.

    Attributes:
        score: Its name.
        within: Spearman's correlation of score and accuracy within a run, its mean over the runs;
            NaN where none has one.
        runs: Number of the runs that have a correlation: of 3 checkpoints and more, whose scores
            and accuracies are not all equal.
        overall: The same correlation over the checkpoints of all runs.
        lost: Accuracy of the best checkpoint of a run minus that of the one with the highest score,
            its mean over the runs. Of equal scores, the earlier checkpoint counts, as with
            ``save_best``.
        most_lost: The largest of these differences.
    """

    score: str
    within: float
    runs: int
    overall: float
    lost: float
    most_lost: float


def rank_scores(runs: Sequence[Sequence[tuple[dict[str, float], float]]]) -> list[ScoreRank]:
    """Rank the scores of checkpoints, the one that loses the least accuracy first.

    Args:
        runs: For each run its checkpoints in the order of their training: scores by name, where
            higher should be better and NaN is unknown, and the accuracy.

    >>> run = [(dict(a=1.0, b=3.0), 0.5), (dict(a=2.0, b=2.0), 0.75), (dict(a=3.0, b=1.0), 1.0)]
    >>> for rank in rank_scores([run]):
    ...     print(rank.score, round(rank.within, 2), rank.lost)
    a 1.0 0.0
    b -1.0 0.5
    """
    names = dict.fromkeys(name for run in runs for scores, _ in run for name in scores)
    ranks = [_rank(name, runs) for name in names]
    return sorted(ranks, key=lambda rank: (rank.lost, -np.nan_to_num(rank.within, nan=-2)))


def _rank(name: str, runs: Sequence[Sequence[tuple[dict[str, float], float]]]) -> ScoreRank:
    within: list[float] = []
    lost: list[float] = []
    every: list[tuple[float, float]] = []
    for run in runs:
        pairs = [(scores.get(name, float('nan')), accuracy) for scores, accuracy in run]
        pairs = [pair for pair in pairs if not np.isnan(pair[0])]
        if pairs:
            every += pairs
            within.append(spearman(pairs))
            # The first of equals.
            chosen = max(pairs, key=lambda pair: pair[0])
            lost.append(max(accuracy for _, accuracy in run) - chosen[1])
    known = [value for value in within if not np.isnan(value)]
    return ScoreRank(
        name,
        float(np.mean(known)) if known else float('nan'),
        len(known),
        spearman(every),
        float(np.mean(lost)) if lost else float('nan'),
        float(np.max(lost)) if lost else float('nan'),
    )


def spearman(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's rank correlation; NaN of fewer than 3 pairs, or where one number is constant."""
    from scipy.stats import spearmanr  # takes a second to import

    if len(pairs) < LEAST or any(len(set(column)) < 2 for column in zip(*pairs)):
        return float('nan')
    return float(spearmanr(*zip(*pairs)).statistic)
