import re

import numpy as np
import pytest
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from mmocr_da.evaluation import (
    PredictionChange,
    Predictions,
    character_error_rate_interval,
    normalize,
    word_accuracy_interval,
)

NAN = float('nan')


def change(before, after, **options):
    if not isinstance(before, Predictions):
        before, after = Predictions(before), Predictions(after)
    paths = [f'{i}.png' for i in range(len(before.texts))]
    return PredictionChange(paths, before, after, **options)


def words(seed, num=100):
    rng = np.random.default_rng(seed)
    return [''.join(rng.choice(list('abcdEF'), rng.integers(1, 8))) for _ in range(num)]


def test_a_recognizer_does_not_differ_from_itself():
    texts = words(0)
    same = change(texts, texts, labels=words(1))
    assert same.changed == same.fixed == same.broken == same.gained(9) == []
    assert same.before_statistics == same.after_statistics
    assert same.scores.accuracy_difference == same.scores.cer_difference == (0, 0, 0)
    (first, second) = same.warnings()
    assert first.startswith('No prediction changed.') and 'contains 0' in second


def test_exchanging_the_recognizers_exchanges_all():
    labels = words(0)
    before = [label if i % 3 else 'x' for i, label in enumerate(labels)]
    after = [label if i % 4 else 'y' for i, label in enumerate(labels)]
    forth, back = (change(*pair, labels=labels) for pair in ((before, after), (after, before)))
    assert forth.changed == back.changed
    assert forth.fixed == back.broken and forth.broken == back.fixed
    assert forth.before_statistics == back.after_statistics
    assert forth.scores.accuracy_before == back.scores.accuracy_after
    assert forth.scores.cer_difference.value == pytest.approx(-back.scores.cer_difference.value)


def test_scores_are_those_of_the_labelled_images_and_the_count_of_fixed_less_broken():
    truth, before = words(0), words(0)
    before[:60] = words(1)[:60]
    after = [*truth[:30], *words(2)[30:70], *truth[70:]]
    labels = [text if i % 2 else None for i, text in enumerate(truth)]
    result = change(before, after, labels=labels)
    scores = result.scores
    assert result.labelled == list(range(1, 100, 2)) and scores.num == 50
    odd = [column[1::2] for column in (after, truth, before)]
    assert scores.accuracy_after == word_accuracy_interval(*odd[:2])
    assert scores.accuracy_difference == word_accuracy_interval(*odd)
    assert scores.cer_difference == character_error_rate_interval(*odd)
    gain = (len(result.fixed) - len(result.broken)) / scores.num
    assert gain == pytest.approx(scores.accuracy_difference.value) and result.broken
    right = [column[i] == truth[i] for column in (before, after) for i in result.fixed]
    assert right == [False] * len(result.fixed) + [True] * len(result.fixed)


@pytest.mark.parametrize('options', [{}, dict(ignore_case=True), dict(ignore_symbols=True)])
def test_what_does_not_count_is_ignored_with_labels_and_lexicon_only(options):
    before, after, labels = ['cat', 'no', 'x'], ['Cat', 'no!', 'x'], ['CAT', 'no', 'x']
    result = change(before, after, labels=labels, lexicon=['CAT', 'no'], **options)
    assert result.changed == [0, 1]
    expected = [normalize(t, **options) == normalize(r, **options) for t, r in zip(after, labels)]
    assert result.scores.accuracy_after.value == sum(expected) / 3
    lexicon = {normalize(word, **options) for word in ('CAT', 'no')}
    found = sum(normalize(text, **options) in lexicon for text in after)
    assert result.after_statistics.in_lexicon == pytest.approx(found / 3)


def test_numbers_by_hand():
    before = Predictions(['', 'lll', 'the', 'the', '...', 'a'], [NAN, 0.2, 0.4, 0.4, 0.6, 0.4])
    result = change(before, Predictions([''] * 6), lexicon=['the'])
    numbers = result.before_statistics
    assert numbers.confidence == pytest.approx(0.4)
    assert (numbers.length, numbers.empty, numbers.odd) == (13 / 6, 1 / 6, 2 / 6)
    assert (numbers.distinct, numbers.in_lexicon) == (5, 2 / 6)
    assert numbers.most_frequent == [('the', 2), ('...', 1), ('a', 1), ('lll', 1)]
    assert result.changed == [1, 2, 3, 4, 5] and result.changed_share == 5 / 6
    empty = result.after_statistics
    assert (empty.confidence, empty.empty, empty.most_frequent) == (None, 1, [])
    assert change(['a'], ['b']).before_statistics.in_lexicon is None


def test_the_greatest_rise_of_confidence_comes_first_without_falls_and_empty_texts():
    before = Predictions(['a', 'b', '', 'd', 'e'], [0.5, 0.9, NAN, 0.1, 0.1])
    after = Predictions(['b', 'c', 'x', 'e', 'e'], [0.6, 0.2, 0.4, 0.6, 1.0])
    assert change(before, after).gained(9) == [3, 0]  # 4 did not change, 1 fell, 2 was empty
    assert change(before, after).gained(1) == [3]
    assert change(Predictions(before.texts), after).gained(9) == []


def test_images_are_drawn_by_the_seed_in_their_order():
    result = change(words(0), words(1), seed=3)
    drawn = result.drawn(result.changed, 10)
    assert drawn == sorted({*drawn}) and len(drawn) == 10 and {*drawn} <= {*result.changed}
    assert drawn == change(words(0), words(1), seed=3).drawn(result.changed, 10)
    assert drawn != change(words(0), words(1), seed=4).drawn(result.changed, 10)
    assert result.drawn([5, 6], 10) == [5, 6]


GOOD = words(5, 200)


@pytest.mark.parametrize(
    'after, warning',
    [
        (
            ['the'] * 50 + words(6, 150),
            "One prediction stands for many images: 'the' for 50 of 200",
        ),
        ([f'w{i % 50}' for i in range(200)], 'the same texts: 50 distinct predictions'),
        ([''] * 10 + words(6, 190), r'More predictions are empty: 5\.0%, 0\.0% before'),
        (['-.-'] * 10 + words(6, 190), 'symbols only or one character repeated: 5'),
        ([w[: len(w) // 2 + 1] for w in words(6, 200)], 'became much shorter: '),
        (GOOD, 'No prediction changed'),
    ],
)
def test_what_looks_bad_is_a_warning(after, warning):
    assert re.search(warning, ' '.join(change(GOOD, after).warnings()))
    assert not re.search(warning, ' '.join(change(after, words(7, 200)).warnings()))


def test_a_word_that_is_as_frequent_as_before_is_no_warning():
    before, after = (['the'] * num + words(seed, 200)[num:] for num, seed in ((50, 5), (60, 6)))
    assert change(before, after).warnings() == []
    assert 'stands for many' in change(GOOD[:190] + before[:10], after).warnings()[0]


def test_predictions_of_the_same_kind_give_no_warning():
    for seed in range(10):
        before, after = (Predictions(words(s, 200), [0.5] * 200) for s in (seed, seed + 100))
        assert change(before, after, lexicon=words(300, 500)).warnings() == []


def test_a_fall_of_confidence_or_of_words_of_the_lexicon_is_a_warning():
    sure, unsure = Predictions(words(0), [0.9] * 100), Predictions(words(1), [0.8] * 100)
    assert change(sure, unsure).warnings() == ['The confidence fell: 80.0%, 90.0% before.']
    assert change(unsure, sure).warnings() == []
    (warning,) = change(words(0), words(1), lexicon=words(0)).warnings()
    assert warning.startswith('Fewer predictions are words of the lexicon: ')


@pytest.mark.parametrize('num, warned', [(20, False), (2000, True)])
def test_a_fall_that_may_be_chance_is_no_warning(num, warned):
    # 5 % more are empty: one image of 20.
    before, after = (['word', 'other'] * num)[:num], (['word', 'other'] * num)[:num]
    after[: num // 20] = [''] * (num // 20)
    found = [w for w in change(before, after).warnings() if 'are empty' in w]
    assert bool(found) == warned


def test_a_fall_that_is_small_is_no_warning():
    sure, unsure = Predictions(words(0), [0.9] * 100), Predictions(words(1), [0.89] * 100)
    assert change(sure, unsure).warnings() == []


@pytest.mark.parametrize(
    'right_before, right_after, warning',
    [(100, 150, None), (150, 100, 'Keep the earlier one'), (100, 101, 'contains 0')],
)
def test_labels_say_which_is_better_worse_or_neither(right_before, right_after, warning):
    def texts(num, seed):
        return GOOD[:num] + words(seed, 200)[num:]

    found = change(texts(right_before, 6), texts(right_after, 7), labels=GOOD).warnings()
    assert len(found) == (warning is not None) and (not warning or warning in found[0])


def test_few_or_unusable_labels_are_a_warning():
    labels = ['a', 'b', '', '!', None]
    found = change(list('abcde'), list('aBCDE'), labels=labels, ignore_symbols=True).warnings()
    assert 'Only 2 images are labelled' in found[-2] and found[-1].endswith('ignored: 2.')


def test_predictions_are_taken_from_the_data_samples_of_mmocr():
    samples = []
    for text, score in (('ab', [0.5, 1.0]), ('', []), ('c', [0.25])):
        sample = TextRecogDataSample()
        sample.pred_text = LabelData(item=text, score=score)
        samples.append(sample)
    for form in (samples, [sample.to_dict() for sample in samples]):
        texts, confidences = Predictions.of(form)
        assert texts == ['ab', '', 'c']
        np.testing.assert_equal(confidences, [0.75, NAN, 0.25])


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(paths=[]), 'at least one image, got none'),
        (dict(before=Predictions(['a'])), r'before.texts needs one .* each of the 2 paths, got 1'),
        (dict(after=Predictions('ab')), 'after.texts needs one entry'),
        (dict(after=Predictions(['a', 'b'], [1.0])), 'after.confidences needs .* got 1'),
        (dict(labels=['a']), 'labels needs one entry'),
        (dict(labels=['a', None]), 'texts of at least 2 images.* got 1 that can be compared'),
        (dict(labels=['', '']), 'got 0 that can be compared'),
        (dict(lexicon=[]), 'lexicon must hold at least one word'),
        (dict(lexicon=['!'], ignore_symbols=True), 'lexicon must hold at least one word'),
        (dict(unicode_form='nfc'), 'unicode_form must be one of'),
    ],
)
def test_what_does_not_fit_together_is_an_error(arguments, message):
    texts = Predictions(['a', 'b'])
    given = dict(dict(paths=['1', '2'], before=texts, after=texts), **arguments)
    with pytest.raises(ValueError, match=message):
        PredictionChange(**given)
