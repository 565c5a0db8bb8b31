"""Words to render: of a list, of its character n-grams, or random strings of an alphabet."""

import random
import unicodedata
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

#: How many of 100 random strings have 1, 2, ... characters, as the words of printed text have.
LENGTHS = (4, 9, 13, 15, 14, 12, 10, 8, 6, 4, 3, 2)
#: How many of 10 random strings are made of letters, of digits and of all characters. Of digits are
#: most: lists of words have few numbers, and documents many.
KINDS = (3, 5, 2)

#: Marks that stand before a word, after it, and on both sides, with how often each does.
BEFORE = {'(': 4, '*': 1, '#': 1, '$': 2, '"': 1, '-': 1}
AFTER = {'.': 4, ',': 4, ':': 4, ')': 3, '-': 1, '!': 1, '?': 1, '%': 1, '*': 1, ';': 1}
AROUND = {'()': 2, '""': 1, '[]': 1, '**': 1}
#: Marks within a number; the first one is nearly always before its last two digits.
WITHIN = {'.': 6, ',': 1, '-': 1, '/': 1, ':': 1}
MARKS = frozenset(''.join([*BEFORE, *AFTER, *AROUND, *WITHIN]))

T = TypeVar('T')
Table = tuple[list[T], list[int]]


class Words(Sequence[str]):
    """A list of words in one block of memory.

    Workers share it: a list of strings would be copied into each as soon as it reads them.

    >>> list(Words(['one', 'tw\u00f6']))
    ['one', 'tw\u00f6']
    """

    def __init__(self, words: Iterable[str]) -> None:
        encoded = [word.encode() for word in words]
        self.content = np.frombuffer(b''.join(encoded), np.uint8)
        self.ends = np.cumsum([0, *map(len, encoded)])

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.content[self.ends[index] : self.ends[index + 1]].tobytes().decode()


class NGramWords:
    """Draws words that have the lengths and the character n-grams of a list of words.

    A character is drawn after its ``order - 1`` predecessors as often as the list has it there.
    Where a predecessor is the last of its word in all of the list, fewer of them count.

    Args:
        words: The list.
        order: Length of the n-grams; 1 keeps only how frequent the characters are.
    """

    def __init__(self, words: Sequence[str], order: int) -> None:
        self.order = order
        counts: dict[str, Counter[str]] = {}
        lengths = Counter(map(len, words))
        for word in words:
            padded = '\n' * (order - 1) + word
            for i, char in enumerate(word):
                context = padded[i : i + order - 1]
                for start in range(order):
                    counts.setdefault(context[start:], Counter())[char] += 1
        self.lengths = _table(lengths)
        self.following = {context: _table(counter) for context, counter in counts.items()}

    def draw(self, rng: random.Random) -> str:
        """Draw a word."""
        word = '\n' * (self.order - 1)
        for _ in range(_draw(self.lengths, rng)):
            context = word[len(word) - self.order + 1 :]
            while context not in self.following:
                context = context[1:]
            word += _draw(self.following[context], rng)
        return word[self.order - 1 :]


class RandomStrings:
    """Draws strings of an alphabet: of letters, of digits, or of all its characters.

    Args:
        characters: The alphabet; whitespace is left out.
        max_length: Most characters of a string.
    """

    def __init__(self, characters: Iterable[str], max_length: int) -> None:
        every = sorted(char for char in set(characters) if not char.isspace())
        letters = [char for char in every if unicodedata.category(char)[0] in 'LM']
        digits = [char for char in every if unicodedata.category(char)[0] == 'N']
        self.kinds = [letters or every, digits or every, every]
        self.lengths = _table(dict(enumerate(LENGTHS[:max_length], 1)))
        self.shares = _table(dict(enumerate(KINDS)))

    def draw(self, rng: random.Random) -> str:
        """Draw a string."""
        characters = self.kinds[_draw(self.shares, rng)]
        return ''.join(rng.choice(characters) for _ in range(_draw(self.lengths, rng)))


def punctuated(word: str, rng: random.Random) -> str:
    """Put a mark before a word, after it or around it, or between the digits of a number.

    >>> rng = random.Random(7)
    >>> [punctuated(word, rng) for word in ('1250', 'total', 'total')]
    ['12.50', '#total', '(total)']
    """
    if word.isdecimal() and len(word) > 2 and rng.random() < 0.7:
        mark = _draw(_table(WITHIN), rng)
        end = -2 if mark == '.' and rng.random() < 0.9 else rng.randrange(1, len(word))
        return word[:end] + mark + word[end:]
    place = rng.random()
    if place < 0.3:
        return _draw(_table(BEFORE), rng) + word
    if place < 0.4:
        pair = _draw(_table(AROUND), rng)
        return pair[0] + word + pair[1]
    return word + _draw(_table(AFTER), rng)


class Alphabet:
    """The characters that a recognizer can output.

    A letter that is missing is replaced by its other case, as MMOCR's losses do with
    ``letter_case``: with lower-case letters, a drawn 'Hello' has the label 'hello'.

    >>> Alphabet('abc').label('Cab'), Alphabet('abcC').label('Cab'), Alphabet('abc').label('d')
    ('cab', 'Cab', None)
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = frozenset(characters)

    def label(self, drawn: str) -> str | None:
        """Return the label of a text; None if the recognizer cannot output it."""
        if self.characters.issuperset(drawn):
            return drawn
        chars = [next(self._options(char), None) for char in drawn]
        return None if None in chars else ''.join(filter(None, chars))

    def outside(self, text: str) -> set[str]:
        """Return the characters of ``text`` that have no label."""
        return {char for char in text if next(self._options(char), None) is None}

    def _options(self, char: str) -> Iterator[str]:
        return (form for form in (char, char.lower(), char.upper()) if form in self.characters)


def _table(counts: Mapping[T, int]) -> Table[T]:
    """Values and their cumulative counts, for :func:`_draw`."""
    return list(counts), list(accumulate(counts.values()))


def _draw(table: Table[T], rng: random.Random) -> T:
    values, sums = table
    return values[bisect(sums, rng.random() * sums[-1])]
