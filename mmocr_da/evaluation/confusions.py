"""Which characters a recognizer takes for which."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

#: In the place of a character that the label, or the prediction, does not have.
NOTHING = ''


class CharacterConfusions:
    """Pairs of characters of labels and predictions.

    The texts of an image are aligned by their edit distance: each character of a label is paired
    with the one that was predicted for it, or with :data:`NOTHING` if it was left out, and each
    character that was predicted beyond the label with :data:`NOTHING` as its label. Where several
    alignments have the fewest edits, one of them is taken.

    Args:
        predictions: N texts.
        labels: N texts, the ground truths.

    Raises:
        ValueError: If their numbers differ.

    >>> confusions = CharacterConfusions(['c0w', 'do'], ['cow', 'dog'])
    >>> confusions.most_frequent()
    [('g', '', 1), ('o', '0', 1)]
    >>> classes = confusions.classes(4)
    >>> classes, confusions.matrix(classes).tolist()
    (['', '0', 'g', 'o'], [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]])
    """

    def __init__(self, predictions: Sequence[str], labels: Sequence[str]) -> None:
        if len(predictions) != len(labels):
            raise ValueError(
                f'predictions needs one text per label, got {len(predictions)} for {len(labels)}'
            )
        self.counts: Counter[tuple[str, str]] = Counter()
        for prediction, label in zip(predictions, labels):
            self.counts.update(aligned(label, prediction))

    @property
    def errors(self) -> int:
        """Number of substitutions, deletions and insertions."""
        return sum(self.confused().values())

    @property
    def num_characters(self) -> int:
        """Number of characters of the labels."""
        return sum(count for (char, _), count in self.counts.items() if char != NOTHING)

    def confused(self) -> Counter[tuple[str, str]]:
        """Return the numbers of the pairs of two different characters."""
        return Counter({pair: num for pair, num in self.counts.items() if pair[0] != pair[1]})

    def most_frequent(self, num: int | None = None) -> list[tuple[str, str, int]]:
        """Return the ``num`` most frequent confusions: label, prediction and number."""
        # Equal numbers in the order of the characters: the same for any order of the images.
        found = sorted(self.confused().items(), key=lambda item: (-item[1], item[0]))
        return [(label, predicted, count) for (label, predicted), count in found[:num]]

    def classes(self, num: int) -> list[str]:
        """Return the ``num`` characters with most errors, sorted; :data:`NOTHING` may be one."""
        return classes_of([self], num)

    def matrix(self, classes: Sequence[str]) -> NDArray[Any]:
        """Return the matrix ``(C, C)``, a row per label; pairs of other classes are left out."""
        from sklearn.metrics import confusion_matrix  # scikit-learn takes a second to import

        pairs = {pair: num for pair, num in self.counts.items() if {*pair} <= {*classes}}
        labels, predicted = zip(*pairs) if pairs else ((), ())
        return confusion_matrix(
            [*labels, *classes],
            [*predicted, *classes],
            labels=list(classes),
            # Classes are given once with the weight 0, for one that no pair has.
            sample_weight=[*pairs.values(), *[0] * len(classes)],
        )


def classes_of(models: Iterable[CharacterConfusions], num: int) -> list[str]:
    """Return the ``num`` characters with most errors of several models together, sorted."""
    errors: Counter[str] = Counter()
    for confusions in models:
        for (label, predicted), count in confusions.confused().items():
            errors[label] += count
            errors[predicted] += count
    return sorted(sorted(errors, key=lambda char: (-errors[char], char))[:num])


def shown(char: str) -> str:
    """Return what stands for a character in a picture or list, also for a space and for nothing."""
    return {NOTHING: '\u2205', ' ': '\u2423'}.get(char, char)


def aligned(label: str, prediction: str) -> list[tuple[str, str]]:
    """Pair the characters of two texts by their edit distance, in their order.

    >>> aligned('cart', 'cat'), aligned('cat', 'bats')[::3]
    ([('c', 'c'), ('a', 'a'), ('r', ''), ('t', 't')], [('c', 'b'), ('', 's')])
    """
    pairs: list[tuple[str, str]] = []
    for op in Levenshtein.opcodes(label, prediction):
        source, dest = label[op.src_start : op.src_end], prediction[op.dest_start : op.dest_end]
        # Of one length, unless one of them is empty.
        size = max(len(source), len(dest))
        pairs += zip(source or [NOTHING] * size, dest or [NOTHING] * size)
    return pairs
