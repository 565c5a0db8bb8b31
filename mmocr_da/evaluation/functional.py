"""Text recognition metrics on plain lists of strings.

Every metric takes ``predictions`` and ``references``, two lists of N strings: pair ``i`` is the
prediction and the ground truth of image ``i``. It returns one number. Strings are compared
unchanged; only :func:`normalize` drops letter case and symbols. Lists that are empty or differ in
length raise a ValueError.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache

import editdistance

from mmocr_da.unicode import UnicodeForm, to_unicode_form

#: Characters that are not symbols: letters, marks and numbers, by their Unicode category.
KEPT_CATEGORIES = 'LMN'


def normalize(
    text: str,
    ignore_case: bool = False,
    ignore_symbols: bool = False,
    unicode_form: UnicodeForm | None = None,
) -> str:
    """Remove differences that a comparison should ignore.

    Args:
        text: A prediction or a ground truth.
        ignore_case: Whether to convert it to lower case.
        ignore_symbols: Whether to keep only the letters, digits and marks of every script. MMOCR's
            metrics keep only a to z, digits and Chinese characters: they also drop accented letters
            and all of a text in Korean, Hindi or Arabic.
        unicode_form: Unicode form to convert it to; None leaves it unchanged.

    >>> normalize("Don't!", ignore_case=True)
    "don't!"
    >>> normalize("Don't!", ignore_case=True, ignore_symbols=True)
    'dont'
    """
    text = to_unicode_form(text, unicode_form)
    text = text.lower() if ignore_case else text
    return ''.join(filter(_is_kept, text)) if ignore_symbols else text


@cache
def _is_kept(char: str) -> bool:
    # MMOCR keeps '^' as well, since its pattern is '[^A-Z^a-z^0-9^...]'. We follow it, so that our
    # numbers are equal to MMOCR's.
    return unicodedata.category(char)[0] in KEPT_CATEGORIES or char == '^'


def total_edit_distance(predictions: Sequence[str], references: Sequence[str]) -> int:
    """Levenshtein distance summed over all words (TED, lower is better).

    >>> total_edit_distance(['house', 'tree'], ['mouse', 'trees'])
    2
    """
    return sum(edit_distances(predictions, references))


def character_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Sum of all edits over the sum of all reference lengths (CER, lower is better).

    A long word weighs more than a short one. The rate can exceed 1, since predictions may be longer
    than the ground truth. The divisor is at least 1, so the rate is finite even if every reference
    is empty.

    >>> character_error_rate(['cat', ''], ['cart', 'a'])  # 2 edits, 5 characters
    0.4
    """
    length = sum(map(len, references))
    return total_edit_distance(predictions, references) / max(length, 1)


def word_accuracy(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of words that are predicted without any error.

    >>> word_accuracy(['a', 'b', 'c', ''], ['a', 'b', 'd', ''])
    0.75
    """
    pairs = check_pairs(predictions, references)
    return sum(p == r for p, r in pairs) / len(pairs)


def word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of words with an error (WER, lower is better).

    Each string counts as one word, as usual for word images; it is not split at spaces.

    >>> word_error_rate(['a', 'b', 'c', ''], ['a', 'b', 'd', ''])
    0.25
    """
    pairs = check_pairs(predictions, references)
    return sum(p != r for p, r in pairs) / len(pairs)


def accuracy_within_one_edit(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of words at an edit distance of at most one (ED1).

    >>> accuracy_within_one_edit(['house', 'tree', 'cat'], ['mouse', 'trees', 'dog'])
    0.6666666666666666
    """
    distances = edit_distances(predictions, references)
    return sum(distance <= 1 for distance in distances) / len(distances)


def normalized_edit_distance(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Mean over words of ``1 - distance / max(length)`` (NED, *higher* is better).

    Papers print this similarity under the name NED (ICDAR 2019 ArT and LSVT, arXiv:1904.01906);
    MMOCR's ``OneMinusNEDMetric`` calls it ``1-N.E.D``. Two empty strings are equal and count 1.

    >>> normalized_edit_distance(['cat', ''], ['cart', ''])
    0.875
    """
    pairs = check_pairs(predictions, references)
    distances = (editdistance.eval(p, r) / max(len(p), len(r), 1) for p, r in pairs)
    return 1 - sum(distances) / len(pairs)


def edit_distances(texts: Sequence[str], references: Sequence[str]) -> list[int]:
    """Return the Levenshtein distance of each pair.

    >>> edit_distances(['house', 'tree'], ['mouse', 'tree'])
    [1, 0]
    """
    return [editdistance.eval(t, r) for t, r in check_pairs(texts, references)]


def check_pairs(texts: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """Pair predictions with their ground truths.

    Raises:
        ValueError: If a list is empty, a string, or not as long as the other.
    """
    for name, strings in (('predictions', texts), ('references', references)):
        # A single string would be scored character by character.
        if isinstance(strings, str):
            raise ValueError(
                f'{name} must be a list of strings, got the string {strings!r}; put it into a list'
            )
    if len(texts) != len(references):
        raise ValueError(
            f'predictions needs one string per reference, got {len(texts)} '
            f'predictions for {len(references)} references'
        )
    if not references:
        raise ValueError(
            'references must hold at least one string, got an empty list; '
            'a rate over nothing is not defined'
        )
    return list(zip(texts, references))
