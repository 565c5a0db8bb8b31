"""Scores of a recognizer on images without labels: how good is it, without knowing the texts?

Of predictions with probabilities, ``probabilities`` is ``(M, K)``: a row for each predicted
character of all images, a softmax over the K classes. Every function returns a Python float, and
NaN where it has too little to go by. Higher is better, so that a checkpoint can be kept by any of
them, but for :func:`importance_weighted_risk`. No score is a measure of accuracy: each can rise
while a recognizer becomes sure of its errors.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

#: Rows of a similarity matrix that are in memory at the same time.
CHUNK = 1024


def certainty(probabilities: Tensor) -> float:
    """Minus the mean entropy of the characters, in nats, from ``-log K`` to 0.

    Low entropy lets boundaries pass where there are few data (Grandvalet & Bengio, NeurIPS 2004);
    as a criterion to choose a model: Morerio et al., ICLR 2018.

    >>> certainty(torch.eye(4)), round(certainty(torch.full((3, 4), 0.25)), 3)
    (0.0, -1.386)
    """
    return 0.0 - _mean_entropy(probabilities)


def information(probabilities: Tensor) -> float:
    """Mutual information of characters and classes, in nats, from 0 to ``log K``.

    The entropy of the mean minus the mean of the entropies: characters should be certain and of
    many classes (Krause et al., NeurIPS 2010; as information maximization in SHOT, Liang et al.,
    ICML 2020, eq. 4 and 5). It is 0 if all characters are predicted alike, however certain.

    >>> round(information(torch.eye(4)), 3), information(torch.eye(4)[[0, 0]])
    (1.386, 0.0)
    """
    p = _checked(probabilities)
    if not len(p):
        return math.nan
    return _mean_entropy(p.mean(0, keepdim=True)) - _mean_entropy(p)


def soft_neighbourhood_density(probabilities: Tensor, temperature: float = 0.05) -> float:
    """How densely the characters lie in clusters (SND; Saito et al., ICCV 2021, eq. 1 to 3).

    Rows are normalized to length 1. Each is compared with all others, and the score is the mean
    entropy of the softmax of these similarities, divided by ``temperature``: high if a character
    has many near neighbours. Needs 2 characters.

    It is highest if all are predicted alike: then all are neighbours. So it fits recognizers that
    have learned something.

    >>> clusters = torch.eye(2)[[0] * 5 + [1] * 5]  # 4 neighbours at a distance of 0
    >>> round(soft_neighbourhood_density(clusters), 3) == round(math.log(4), 3)
    True
    """
    p = torch.nn.functional.normalize(_checked(probabilities), dim=1)
    count = len(p)
    if count < 2:
        return math.nan
    total = 0.0
    for start in range(0, count, CHUNK):
        rows = p[start : start + CHUNK]
        similar = rows @ p.T / temperature
        index = torch.arange(len(rows))
        similar[index, start + index] = -math.inf  # a character is no neighbour of its own
        shares = similar.softmax(1)
        total += float(torch.special.entr(shares).sum())
    return total / count


def batch_nuclear_norm(probabilities: Tensor) -> float:
    """Nuclear norm of the matrix of predictions, from 0 to 1 (BNM; Cui et al., CVPR 2020, eq. 6).

    Certain and diverse predictions have a large one. It is divided by its largest value for M
    characters, ``sqrt(M * min(M, K))``, so that numbers of characters can be compared.

    >>> batch_nuclear_norm(torch.eye(3)), round(batch_nuclear_norm(torch.eye(3)[[0, 0, 0]]), 3)
    (1.0, 0.577)
    """
    p = _checked(probabilities)
    if not len(p):
        return math.nan
    # The squared singular values of a tall matrix are the eigenvalues of a small one.
    gram = p.T @ p if len(p) > p.size(1) else p @ p.T
    values = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    return float(values.sum() / math.sqrt(len(p) * min(p.shape)))


class CharacterLanguageModel:
    """Probability of texts by their character n-grams, smoothed as by Witten & Bell (1991).

    A character has ``P(c | h) = (n(h c) + t(h) P(c | h')) / (n(h) + t(h))``: ``n`` are counts in
    the texts, ``t(h)`` is the number of different characters after the history ``h``, and ``h'`` is
    ``h`` without its first character. Below the empty history all characters of the texts, the end
    and one for all unknown characters are equally probable.

    Args:
        texts: Labels of the source, or a lexicon.
        order: Length of the n-grams.

    Raises:
        ValueError: If there is no text.

    >>> model = CharacterLanguageModel(['abab', 'ab'])
    >>> model.plausibility(['ab']) > model.plausibility(['ba']) > model.plausibility(['xx'])
    True
    """

    _START, _END = '\x02', '\x03'

    def __init__(self, texts: Iterable[str], order: int = 3) -> None:
        self.order = order
        self._counts: dict[str, Counter[str]] = {}
        for text, times in Counter(texts).items():
            for history, char in self._steps(text):
                for start in range(order):
                    self._counts.setdefault(history[start:], Counter())[char] += times
        if not self._counts:
            raise ValueError('a language model needs texts, got none')
        self._sums = {history: sum(counts.values()) for history, counts in self._counts.items()}
        self._uniform = 1 / (len(self._counts['']) + 1)  # of all characters, end, and unknown

    def log_probability(self, text: str) -> float:
        """Return the log-probability of a text and its end, in nats."""
        return sum(
            math.log(self._probability(char, history)) for history, char in self._steps(text)
        )

    def plausibility(self, texts: Sequence[str]) -> float:
        """Return the mean log-probability of a character of the texts, ends included."""
        if not texts:
            return math.nan
        return sum(map(self.log_probability, texts)) / sum(len(text) + 1 for text in texts)

    def _steps(self, text: str) -> Iterable[tuple[str, str]]:
        """Each character and the end, with the characters before it."""
        padded = self._START * (self.order - 1) + text + self._END
        for i in range(self.order - 1, len(padded)):
            yield padded[i - self.order + 1 : i], padded[i]

    def _probability(self, char: str, history: str) -> float:
        lower = self._probability(char, history[1:]) if history else self._uniform
        counts = self._counts.get(history)
        if counts is None:
            return lower
        types = len(counts)
        return (counts[char] + types * lower) / (self._sums[history] + types)


def length_plausibility(texts: Sequence[str], expected: Sequence[str]) -> float:
    """Minus the distance of the lengths of predictions from those of other texts, in characters.

    The distance is that of Wasserstein of order 1: by how many characters lengths must change on
    average to be distributed alike.

    >>> length_plausibility(['ab', 'abcd'], ['abc', 'abcde'])
    -1.0
    """
    if not texts or not expected:
        return math.nan
    from scipy.stats import wasserstein_distance  # takes a second to import

    return 0.0 - float(wasserstein_distance([*map(len, texts)], [*map(len, expected)]))


class DensityRatio:
    """How much more often a feature occurs in the target than in the source, ``q(x) / p(x)``.

    A logistic regression tells the domains apart; by Bayes the ratio is ``n_s / n_t`` times the
    odds of the target (You et al., "Towards accurate model selection in deep unsupervised domain
    adaptation", ICML 2019, eq. 9). Features are standardized first.

    Args:
        source: ``(n_s, D)``, features of source images.
        target: ``(n_t, D)``, features of target images.

    Raises:
        ValueError: If a domain has no feature, or if their widths differ.
    """

    def __init__(self, source: ArrayLike, target: ArrayLike) -> None:
        self.source = np.asarray(source, float)
        self.target = np.asarray(target, float)
        shapes = self.source.shape, self.target.shape
        if any(len(s) != 2 or not s[0] for s in shapes) or shapes[0][1] != shapes[1][1]:
            raise ValueError(
                'features must be (n, D) of both domains with n > 0 and one D, got '
                f'{shapes[0]} and {shapes[1]}'
            )

    def __call__(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return the ratios ``(n,)`` of features ``(n, D)``."""
        odds = self._model.decision_function(np.asarray(features, float))
        return np.exp(odds) * len(self.source) / len(self.target)

    @cached_property
    def _model(self) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        domains = np.repeat([0, 1], [len(self.source), len(self.target)])
        return model.fit(np.concatenate([self.source, self.target]), domains)


def importance_weighted_risk(losses: ArrayLike, ratios: ArrayLike) -> float:
    """Estimate the mean loss on the target from losses on the source (DEV; You et al., ICML 2019).

    The mean of ``ratio * loss`` is one (Sugiyama et al., JMLR 2007). Its variance is reduced by the
    ratio as a control variate, whose mean is 1 (eq. 10)::

        mean(w l) + eta mean(w) - eta,  eta = -cov(w l, w) / var(w)

    Lower is better.

    Args:
        losses: ``(n,)``, of labelled source images that were not trained on, such as word errors.
        ratios: ``(n,)``, see :class:`DensityRatio`.

    >>> importance_weighted_risk([0, 1], [1, 1]), importance_weighted_risk([0, 1], [0, 2])
    (0.5, 1.0)
    """
    w, loss = np.asarray(ratios, float), np.asarray(losses, float)
    if w.shape != loss.shape or w.ndim != 1:
        raise ValueError(f'losses and ratios must be (n,), got {loss.shape} and {w.shape}')
    if not len(w):
        return math.nan
    weighted = w * loss
    variance = w.var()
    eta = -np.mean((weighted - weighted.mean()) * (w - w.mean())) / variance if variance else 0.0
    return float(weighted.mean() + eta * w.mean() - eta)


def _mean_entropy(probabilities: Tensor) -> float:
    p = _checked(probabilities)
    return float(torch.special.entr(p).sum(1).mean()) if len(p) else math.nan


def _checked(probabilities: Tensor) -> Tensor:
    if probabilities.dim() != 2:
        raise ValueError(f'probabilities must be (M, K), got {tuple(probabilities.shape)}')
    return probabilities.double()
