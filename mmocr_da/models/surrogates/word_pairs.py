"""Pairs of words at every edit distance: the random generator of LS-ED (section 4.2)."""

from collections.abc import Sequence

import editdistance
import numpy as np

Word = tuple[int, ...]

#: Number of edits after which the search starts again from the word.
MAX_EDITS = 1000


def word_at_distance(
    word: Sequence[int],
    distance: int,
    characters: Sequence[int],
    max_length: int,
    rng: np.random.Generator,
) -> Word:
    """Draw a word at an edit distance of exactly ``distance`` from ``word``.

    Characters are inserted, deleted and substituted at random places, each kind equally often,
    until the distance is reached. Edits that lead back towards the word are rejected.

    Args:
        word: Class indexes of at most ``max_length`` characters.
        distance: At most ``max_length``.
        characters: Class indexes to insert, at least two different ones.
        max_length: Length of the longest result.

    Raises:
        ValueError: If ``distance`` or the word is longer than ``max_length``, or there are not two
            different characters.

    >>> rng = np.random.default_rng(0)
    >>> editdistance.eval((1, 2, 3), word_at_distance((1, 2, 3), 2, range(10), 8, rng))
    2
    """
    if max(distance, len(word)) > max_length or len(set(characters)) < 2:
        raise ValueError(
            f'a distance of {distance} from a word of {len(word)} characters needs a '
            'max_length of at least that and two characters at least, got a max_length of '
            f'{max_length} and {len(set(characters))} characters'
        )
    characters = list(characters)
    while True:
        reached, current = 0, list(word)
        for _ in range(MAX_EDITS):
            if reached == distance:
                return tuple(current)
            edited = _random_edit(current, characters, max_length, rng)
            now = editdistance.eval(word, edited)
            if now >= reached:
                reached, current = now, edited


def _random_edit(
    word: list[int], characters: list[int], max_length: int, rng: np.random.Generator
) -> list[int]:
    """Apply one random edit; return the word itself if the edit is not possible."""
    kind = rng.integers(3)
    if kind == 0:
        if len(word) >= max_length:
            return word
        place = int(rng.integers(len(word) + 1))
        return word[:place] + [characters[rng.integers(len(characters))]] + word[place:]
    if not word:
        return word
    place = int(rng.integers(len(word)))
    kept = [] if kind == 1 else [characters[rng.integers(len(characters))]]
    return word[:place] + kept + word[place + 1 :]


class WordPairGenerator:
    """Draws a word, a distance from 0 to ``max_distance``, and a word at this distance, uniformly.

    Args:
        characters: Class indexes to build words from.
        max_length: Length of the longest word, before and after the edits.
        max_distance: b, the largest distance.

    Raises:
        ValueError: If ``max_distance`` is not an integer from 1 to ``max_length``.
    """

    def __init__(self, characters: Sequence[int], max_length: int, max_distance: int) -> None:
        if not isinstance(max_distance, int) or not 1 <= max_distance <= max_length:
            raise ValueError(
                f'max_distance must be an integer from 1 to {max_length}, the longest '
                f'text, got {max_distance!r}'
            )
        self.characters = list(characters)
        self.max_length = max_length
        self.max_distance = max_distance

    def __call__(
        self, words: Sequence[Word], count: int, rng: np.random.Generator
    ) -> list[tuple[Word, Word, int]]:
        """Draw ``count`` triples of edited word, word, and distance."""
        pairs = []
        for _ in range(count):
            word = tuple(words[rng.integers(len(words))])[: self.max_length]
            distance = int(rng.integers(self.max_distance + 1))
            pairs.append(
                (
                    word_at_distance(word, distance, self.characters, self.max_length, rng),
                    word,
                    distance,
                )
            )
        return pairs
