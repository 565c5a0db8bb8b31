"""Pairs of words at every edit distance: the random generator of LS-ED (section 4.2)."""

from collections.abc import Sequence

import editdistance
import numpy as np

Word = tuple[int, ...]

#: So many moves at most; then the walk begins anew.
MAX_MOVES = 1000


def distort(
    word: Sequence[int],
    distance: int,
    letters: Sequence[int],
    max_length: int,
    rng: np.random.Generator,
) -> Word:
    """A word whose edit distance from ``word`` is exactly ``distance``.

    Letters are inserted, deleted and substituted at random places, each kind as often as the
    others, until it is. A move that leads back towards the word is not made.

    Args:
        word: Class indexes of letters, ``max_length`` at most.
        distance: Of at most ``max_length``.
        letters: What is inserted, two different ones at least.
        max_length: Longest result.

    >>> rng = np.random.default_rng(0)
    >>> editdistance.eval((1, 2, 3), distort((1, 2, 3), 2, range(10), 8, rng))
    2
    """
    if max(distance, len(word)) > max_length or len(set(letters)) < 2:
        raise ValueError(
            f'a distance of {distance} from a word of {len(word)} letters needs a '
            'max_length of as much and two letters at least, got '
            f'{max_length} and {len(set(letters))} letters'
        )
    letters = list(letters)
    while True:
        reached, current = 0, list(word)
        for _ in range(MAX_MOVES):
            if reached == distance:
                return tuple(current)
            moved = _move(current, letters, max_length, rng)
            now = editdistance.eval(word, moved)
            if now >= reached:
                reached, current = now, moved


def _move(word: list[int], letters: list[int], max_length: int, rng) -> list[int]:
    """One random edit; the word itself where the edit is not possible."""
    kind = rng.integers(3)
    if kind == 0:
        if len(word) >= max_length:
            return word
        place = int(rng.integers(len(word) + 1))
        return word[:place] + [letters[rng.integers(len(letters))]] + word[place:]
    if not word:
        return word
    place = int(rng.integers(len(word)))
    kept = [] if kind == 1 else [letters[rng.integers(len(letters))]]
    return word[:place] + kept + word[place + 1 :]


class WordPairGenerator:
    """Draws a word, a distance from 0 to ``max_distance``, all equally often, and a distortion.

    Args:
        letters: Class indexes that words are made of.
        max_length: Longest word, before and after.
        max_distance: b.
    """

    def __init__(self, letters: Sequence[int], max_length: int, max_distance: int) -> None:
        if not isinstance(max_distance, int) or not 1 <= max_distance <= max_length:
            raise ValueError(
                f'max_distance must be an integer from 1 to {max_length}, the longest '
                f'text, got {max_distance!r}'
            )
        self.letters = list(letters)
        self.max_length = max_length
        self.max_distance = max_distance

    def __call__(
        self, words: Sequence[Word], count: int, rng: np.random.Generator
    ) -> list[tuple[Word, Word, int]]:
        """``count`` triples of distorted word, word, and distance."""
        pairs = []
        for _ in range(count):
            word = tuple(words[rng.integers(len(words))])[: self.max_length]
            distance = int(rng.integers(self.max_distance + 1))
            pairs.append(
                (distort(word, distance, self.letters, self.max_length, rng), word, distance)
            )
        return pairs
