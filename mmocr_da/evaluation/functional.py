"""Text recognition metrics on plain lists of strings.

Every function takes ``predictions`` and ``references``, two lists of N strings of which pair ``i``
is the reading and the truth of image ``i``, and returns one number. Strings are compared as they
are: :func:`normalize` is the one place where letter case and symbols are dropped.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache

import editdistance

from mmocr_da.unicode import UnicodeForm, to_unicode_form

#: What is no symbol: letters, marks and numbers, by the first letter of their Unicode category.
KEPT_CATEGORIES = 'LMN'


def normalize(
    text: str,
    ignore_case: bool = False,
    ignore_symbols: bool = False,
    unicode_form: UnicodeForm | None = None,
) -> str:
    """Drop from ``text`` what a comparison should not see.

    ``ignore_symbols`` keeps the letters, digits and marks of every script. On texts of the letters
    a to z, digits, ASCII symbols and Chinese characters it is what MMOCR's metrics do, which drop
    all others: accented letters, and texts in Korean, Hindi or Arabic altogether.

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
    # '^' as MMOCR, whose pattern '[^A-Z^a-z^0-9^...]' has it by accident: numbers that stand
    # beside MMOCR's must be equal.
    return unicodedata.category(char)[0] in KEPT_CATEGORIES or char == '^'


def total_edit_distance(predictions: Sequence[str], references: Sequence[str]) -> int:
    """Levenshtein distance summed over all words (TED, lower is better).

    >>> total_edit_distance(['house', 'tree'], ['mouse', 'trees'])
    2
    """
    return sum(editdistance.eval(p, r) for p, r in _pairs(predictions, references))


def character_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Sum of all edits over the sum of all reference lengths (CER, lower is better).

    A corpus is one long text: a long word weighs more than a short one. The rate can exceed 1, as
    readings may be longer than the truth. The divisor is at least 1, so it is finite even if every
    reference is empty.

    >>> character_error_rate(['cat', ''], ['cart', 'a'])  # 2 edits, 5 characters
    0.4
    """
    length = sum(map(len, references))
    return total_edit_distance(predictions, references) / max(length, 1)


def word_accuracy(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of words read without any error.

    >>> word_accuracy(['a', 'b', 'c', ''], ['a', 'b', 'd', ''])
    0.75
    """
    pairs = _pairs(predictions, references)
    return sum(p == r for p, r in pairs) / len(pairs)


def word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of words misread (WER, lower is better): each string is one word image.

    This is the WER of handwritten and scene words; no string is split at spaces.

    >>> word_error_rate(['a', 'b', 'c', ''], ['a', 'b', 'd', ''])
    0.25
    """
    pairs = _pairs(predictions, references)
    return sum(p != r for p, r in pairs) / len(pairs)


def accuracy_within_one_edit(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of words at an edit distance of at most one (ED1).

    >>> accuracy_within_one_edit(['house', 'tree', 'cat'], ['mouse', 'trees', 'dog'])
    0.6666666666666666
    """
    pairs = _pairs(predictions, references)
    return sum(editdistance.eval(p, r) <= 1 for p, r in pairs) / len(pairs)


def normalized_edit_distance(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Mean over words of ``1 - distance / max(length)`` (NED, *higher* is better).

    The field's tables print this similarity under the name NED (ICDAR 2019 ArT and LSVT,
    arXiv:1904.01906), MMOCR's ``OneMinusNEDMetric`` names it ``1-N.E.D``. Two empty strings are
    equal, so they count 1.

    >>> normalized_edit_distance(['cat', ''], ['cart', ''])
    0.875
    """
    pairs = _pairs(predictions, references)
    distances = (editdistance.eval(p, r) / max(len(p), len(r), 1) for p, r in pairs)
    return 1 - sum(distances) / len(pairs)


def _pairs(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    for name, texts in (('predictions', predictions), ('references', references)):
        # A lone string is a sequence of characters: it would be scored letter by letter.
        if isinstance(texts, str):
            raise ValueError(
                f'{name} must be a list of strings, got the string {texts!r}; put it into a list'
            )
    if len(predictions) != len(references):
        raise ValueError(
            f'predictions needs one string per reference, got {len(predictions)} '
            f'predictions for {len(references)} references'
        )
    if not references:
        raise ValueError(
            'references must hold at least one string, got an empty list; '
            'a rate over nothing is not defined'
        )
    return list(zip(predictions, references))
