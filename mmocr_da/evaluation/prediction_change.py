"""What two recognizers predict for the same images, with labels of some images or without any."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmocr_da.unicode import UnicodeForm, check_unicode_form

from .functional import normalize
from .intervals import (
    Estimate,
    character_error_rate_interval,
    ratio_interval,
    word_accuracy_interval,
)

#: A prediction that stands for more than this share of the images is named, unless it was as
#: frequent before.
COLLAPSED = 0.1
#: Predictions of less than this share of the earlier mean length are much shorter.
SHORTER = 0.8
#: A fall of the number of distinct predictions to less than this share is named.
FEWER = 0.7
#: A fall of the mean confidence or of the share of words of the lexicon, or a rise of the share of
#: empty or odd predictions, that is named if it is more than chance.
NOTABLE = 0.02
#: With fewer labelled images, intervals are too wide to tell much.
FEW_LABELS = 100


class Predictions(NamedTuple):
    """Texts that a recognizer predicts for N images.

    Args:
        texts: N texts.
        confidences: N numbers from 0 to 1, NaN where there is none; None if they are not known.
    """

    texts: Sequence[str]
    confidences: Sequence[float] | None = None

    @classmethod
    def of(cls, data_samples: Iterable[Any]) -> 'Predictions':
        """Take the predictions of MMOCR's data samples, or of their dumped form, dictionaries.

        The confidence is the one that ``TextRecInferencer`` returns, the mean over the scores of
        the characters. An empty prediction has none.
        """
        predicted = [sample.get('pred_text') for sample in data_samples]
        scores = [np.asarray(text.get('score', []), float) for text in predicted]
        means = [float(np.mean(score)) if score.size else float('nan') for score in scores]
        return cls([text.get('item') for text in predicted], means)


@dataclass(frozen=True)
class TextStatistics:
    """Numbers of N predictions that need no labels.

    Args:
        confidence: Mean confidence of the predictions that have one; None if none has.
        length: Mean number of characters.
        empty: Share of empty predictions.
        odd: Share that is rarely a word: symbols only, or one character three times or more.
        distinct: Number of distinct predictions.
        most_frequent: The most frequent predictions that are not empty, with their numbers.
        in_lexicon: Share of predictions that are in the lexicon; None without one.
    """

    confidence: float | None
    length: float
    empty: float
    odd: float
    distinct: int
    most_frequent: list[tuple[str, int]]
    in_lexicon: float | None


class LabelledScores(NamedTuple):
    """Scores on the labelled images, each with its 95 % interval.

    The differences are after minus before, on the same images (paired).
    """

    num: int
    accuracy_before: Estimate
    accuracy_after: Estimate
    accuracy_difference: Estimate
    cer_before: Estimate
    cer_after: Estimate
    cer_difference: Estimate


class PredictionChange:
    """Compares two recognizers on the same images.

    Labels are optional, and may be those of a few of the images. Everything is computed once, when
    it is first used. :func:`mmocr_da.visualization.write_page` makes a page of it.

    Args:
        paths: Names of N images, at least one; usually their files.
        before: Predictions of one recognizer, such as the one that an adaptation started from.
        after: Predictions of the other.
        labels: N ground truths, None for images without one, and at least two that are not None.
        lexicon: Words that the images are expected to show.
        ignore_case, ignore_symbols, unicode_form: What does not count in the comparison with labels
            and lexicon, see :func:`~mmocr_da.evaluation.functional.normalize`. Whether two
            predictions differ is a matter of every character.
        seed: Of the intervals.

    Raises:
        ValueError: If numbers of images do not agree, or no label can be compared with.

    >>> change = PredictionChange(
    ...     ['a.png', 'b.png', 'c.png'],
    ...     Predictions(['cat', '', 'x'], [0.5, float('nan'), 0.25]),
    ...     Predictions(['cart', '', 'y'], [0.75, float('nan'), 1.0]),
    ...     labels=['cart', None, 'x'])
    >>> change.changed, change.fixed, change.broken
    ([0, 2], [0], [2])
    >>> change.after_statistics.confidence, change.after_statistics.empty
    (0.875, 0.3333333333333333)
    >>> change.scores.accuracy_difference.value
    0.0
    """

    def __init__(
        self,
        paths: Sequence[str],
        before: Predictions,
        after: Predictions,
        labels: Sequence[str | None] | None = None,
        lexicon: Collection[str] | None = None,
        ignore_case: bool = False,
        ignore_symbols: bool = False,
        unicode_form: UnicodeForm | None = None,
        seed: int = 0,
    ) -> None:
        check_unicode_form(unicode_form)
        if not len(paths):
            raise ValueError('paths must name at least one image, got none')
        columns = {
            'before.texts': before.texts,
            'before.confidences': before.confidences,
            'after.texts': after.texts,
            'after.confidences': after.confidences,
            'labels': labels,
        }
        for name, column in columns.items():
            if column is not None and (isinstance(column, str) or len(column) != len(paths)):
                raise ValueError(
                    f'{name} needs one entry for each of the {len(paths)} paths, got {len(column)}'
                )
        self.paths = paths
        self.before, self.after = before, after
        self.labels = labels
        self.options: dict[str, Any] = dict(
            ignore_case=ignore_case, ignore_symbols=ignore_symbols, unicode_form=unicode_form
        )
        self.seed = seed
        self.lexicon = None
        if lexicon is not None:
            self.lexicon = {self.normalized(word) for word in lexicon} - {''}
            if not self.lexicon:
                raise ValueError('lexicon must hold at least one word, got none; or leave it out')
        self.labelled = [
            i
            for i, label in enumerate(labels or ())
            if label is not None and self.normalized(label)
        ]
        if labels is not None and len(self.labelled) < 2:
            raise ValueError(
                'labels must hold the texts of at least 2 images, so that there is an interval, '
                f'got {len(self.labelled)} that can be compared with; label more images, or leave '
                'labels out'
            )

    def normalized(self, text: str) -> str:
        """Return a text as it is compared with labels and lexicon."""
        return normalize(text, **self.options)

    @cached_property
    def changed(self) -> list[int]:
        """Indexes of the images with two different predictions."""
        pairs = enumerate(zip(self.before.texts, self.after.texts))
        return [i for i, (before, after) in pairs if before != after]

    @property
    def changed_share(self) -> float:
        """Share of the images with two different predictions."""
        return len(self.changed) / len(self.paths)

    @cached_property
    def before_statistics(self) -> TextStatistics:
        """Numbers of the earlier predictions."""
        return self._statistics(self.before)

    @cached_property
    def after_statistics(self) -> TextStatistics:
        """Numbers of the later predictions."""
        return self._statistics(self.after)

    @cached_property
    def scores(self) -> LabelledScores | None:
        """Scores on the labelled images; None without labels."""
        if not self.labelled:
            return None
        labels, before, after = (
            [self.normalized(str(texts[i])) for i in self.labelled]
            for texts in (self.labels or (), self.before.texts, self.after.texts)
        )
        estimates = [
            interval(predictions, labels, baseline, seed=self.seed)
            for interval in (word_accuracy_interval, character_error_rate_interval)
            for predictions, baseline in ((before, None), (after, None), (after, before))
        ]
        return LabelledScores(len(labels), *estimates)

    @cached_property
    def fixed(self) -> list[int]:
        """Indexes of the labelled images whose prediction was wrong and is right."""
        return [
            i
            for i in self.labelled
            if not self._right(self.before, i) and self._right(self.after, i)
        ]

    @cached_property
    def broken(self) -> list[int]:
        """Indexes of the labelled images whose prediction was right and is wrong."""
        return [
            i
            for i in self.labelled
            if self._right(self.before, i) and not self._right(self.after, i)
        ]

    def gained(self, num: int) -> list[int]:
        """Return the ``num`` changed images whose confidence rose most, the greatest rise first.

        Images without both confidences, such as those with an empty prediction, are not among
        them.
        """
        if self.before.confidences is None or self.after.confidences is None:
            return []
        rises = np.subtract(self.after.confidences, self.before.confidences)
        # A comparison with NaN is False.
        rose = [i for i in self.changed if rises[i] > 0]
        return sorted(rose, key=lambda i: (-rises[i], i))[:num]

    def drawn(self, indexes: Sequence[int], num: int) -> list[int]:
        """Return ``num`` of the indexes at random, in their order; the same for a seed."""
        order = np.random.default_rng(self.seed).permutation(len(indexes))[:num]
        return [indexes[i] for i in sorted(order)]

    def warnings(self) -> list[str]:
        """Say what looks as if the adaptation did harm, or nothing; one sentence each."""
        found = [*self._collapse(), *self._degradation()]
        if not self.changed:
            found.append(
                'No prediction changed. Was the adapted checkpoint loaded, and did the training '
                'reach the recognizer (learning rate, frozen parts)?'
            )
        return found + self._label_warnings()

    def _statistics(self, predictions: Predictions) -> TextStatistics:
        texts = predictions.texts
        num = len(texts)
        confidences = () if predictions.confidences is None else predictions.confidences
        known = [c for c in confidences if not np.isnan(c)]
        counts = Counter(filter(None, texts))
        # Equal numbers in the order of the texts, so that the page does not depend on the images'.
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
        found = None
        if self.lexicon is not None:
            found = sum(self.normalized(text) in self.lexicon for text in texts) / num
        return TextStatistics(
            confidence=float(np.mean(known)) if known else None,
            length=sum(map(len, texts)) / num,
            empty=sum(not text for text in texts) / num,
            odd=sum(map(_is_odd, texts)) / num,
            distinct=len({*texts}),
            most_frequent=most,
            in_lexicon=found,
        )

    def _right(self, predictions: Predictions, i: int) -> bool:
        label = (self.labels or ())[i]
        return self.normalized(predictions.texts[i]) == self.normalized(str(label))

    def _collapse(self) -> Iterable[str]:
        before, after, num = self.before_statistics, self.after_statistics, len(self.paths)
        if after.most_frequent and num >= 20:
            text, count = after.most_frequent[0]
            earlier = list(self.before.texts).count(text)
            if count > COLLAPSED * num and count > 1.5 * earlier:
                yield (
                    f'One prediction stands for many images: {text!r} for {count:,} of {num:,} '
                    f'({earlier:,} before).'
                )
        if after.distinct < FEWER * before.distinct:
            yield (
                f'Many images are given the same texts: {after.distinct:,} distinct predictions, '
                f'{before.distinct:,} before.'
            )
        if self._fell(lambda text: bool(text)):
            yield f'More predictions are empty: {after.empty:.1%}, {before.empty:.1%} before.'
        if self._fell(lambda text: not _is_odd(text)):
            yield (
                f'More predictions are symbols only or one character repeated: {after.odd:.1%}, '
                f'{before.odd:.1%} before.'
            )

    def _degradation(self) -> Iterable[str]:
        before, after = self.before_statistics, self.after_statistics
        if self._fell(len, (1 - SHORTER) * before.length):
            yield (
                f'Predictions became much shorter: {after.length:.1f} characters, '
                f'{before.length:.1f} before.'
            )
        earlier, later = self.before.confidences, self.after.confidences
        if earlier is not None and later is not None:
            known = np.subtract(later, earlier)
            if self._is_fall(known[~np.isnan(known)], NOTABLE):
                yield (
                    f'The confidence fell: {after.confidence:.1%}, {before.confidence:.1%} before.'
                )
        lexicon = self.lexicon
        if lexicon is not None and self._fell(lambda text: self.normalized(text) in lexicon):
            yield (
                f'Fewer predictions are words of the lexicon: {after.in_lexicon:.1%}, '
                f'{before.in_lexicon:.1%} before.'
            )

    def _fell(self, measure: Callable[[str], float], notable: float = NOTABLE) -> bool:
        """Whether the mean of a number per text fell, see :meth:`_is_fall`."""
        pairs = zip(self.before.texts, self.after.texts)
        return self._is_fall(
            np.array([float(measure(after)) - measure(before) for before, after in pairs]), notable
        )

    def _is_fall(self, differences: NDArray[Any], notable: float) -> bool:
        """Whether the mean difference is notable, and is more than chance."""
        return (
            len(differences) > 1
            and differences.mean() < -notable
            and ratio_interval(differences, seed=self.seed).high < 0
        )

    def _label_warnings(self) -> list[str]:
        if self.scores is None:
            return []
        found = []
        difference = self.scores.accuracy_difference
        if difference.high < 0:
            found.append(
                'The adapted recognizer is worse on the labelled images: the interval of the '
                'difference of word accuracy is below 0. Keep the earlier one.'
            )
        elif difference.low <= 0 <= difference.high:
            found.append(
                'The labelled images do not tell which recognizer is better: the interval of the '
                'difference of word accuracy contains 0.'
            )
        if self.scores.num < FEW_LABELS:
            found.append(
                f'Only {self.scores.num} images are labelled: the intervals are wide, and too '
                'narrow where all or none are right.'
            )
        unusable = sum(label is not None for label in self.labels or ()) - self.scores.num
        if unusable:
            found.append(
                f'Labels left out, since they are empty, or of symbols only where symbols are '
                f'ignored: {unusable}.'
            )
        return found


def _is_odd(text: str) -> bool:
    """Whether a text is of symbols only, or one character three times or more.

    >>> [_is_odd(text) for text in ('...', 'lll', 'll', '', '7')]
    [True, True, False, False, False]
    """
    return bool(text) and (
        not normalize(text, ignore_symbols=True) or (len(text) > 2 and len({*text}) == 1)
    )
