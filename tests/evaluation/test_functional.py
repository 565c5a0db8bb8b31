import inspect
import random
import re

import pytest

from mmocr_da.evaluation import functional
from mmocr_da.evaluation.functional import (
    accuracy_within_one_edit,
    character_error_rate,
    normalize,
    normalized_edit_distance,
    total_edit_distance,
    word_accuracy,
    word_error_rate,
)

METRICS = (
    total_edit_distance,
    character_error_rate,
    word_error_rate,
    word_accuracy,
    accuracy_within_one_edit,
    normalized_edit_distance,
)
ERRORS = (total_edit_distance, character_error_rate, word_error_rate)


def test_every_metric_has_the_laws_below():
    functions = vars(functional).values()
    public = [f for f in functions if inspect.isfunction(f) and f.__name__[0] != '_']
    pairwise = [f for f in public if list(inspect.signature(f).parameters)[0] == 'predictions']
    assert set(pairwise) == set(METRICS) >= set(ERRORS)


def random_words(seed, num=40):
    rng = random.Random(seed)
    return [''.join(rng.choices('abB! \u4e2d', k=rng.randrange(7))) for _ in range(num)]


def slow_edit_distance(a, b):
    """The recursive definition, without a table."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        slow_edit_distance(a[1:], b) + 1,
        slow_edit_distance(a, b[1:]) + 1,
        slow_edit_distance(a[1:], b[1:]) + (a[0] != b[0]),
    )


@pytest.mark.parametrize('metric', METRICS)
def test_the_ground_truth_is_the_best_prediction(metric):
    words = random_words(0)
    assert metric(words, words) == (0 if metric in ERRORS else 1)


@pytest.mark.parametrize('metric', METRICS)
def test_a_wrong_prediction_is_worse_than_the_ground_truth(metric):
    perfect, worse = (metric([p, 'x'], ['abc', 'x']) for p in ('abc', 'zzz'))
    assert worse > perfect if metric in ERRORS else worse < perfect


@pytest.mark.parametrize('metric', [m for m in METRICS if m is not character_error_rate])
def test_prediction_and_ground_truth_may_be_exchanged(metric):
    a, b = random_words(1), random_words(2)
    assert metric(a, b) == pytest.approx(metric(b, a))


@pytest.mark.parametrize('metric', METRICS)
def test_the_order_of_the_images_does_not_matter(metric):
    pairs = list(zip(random_words(1), random_words(2)))
    shuffled = random.Random(3).sample(pairs, len(pairs))
    assert metric(*zip(*pairs)) == pytest.approx(metric(*zip(*shuffled)))


def test_edits_over_characters_times_characters_is_edits():
    a, b = random_words(1), random_words(2)
    edits = total_edit_distance(a, b)
    assert character_error_rate(a, b) * sum(map(len, b)) == pytest.approx(edits)
    assert character_error_rate(b, a) * sum(map(len, a)) == pytest.approx(edits)


def test_error_rate_and_accuracy_sum_to_one():
    a, b = random_words(1), random_words(2)
    assert 0 < word_accuracy(a, b) < 1
    assert word_error_rate(a, b) + word_accuracy(a, b) == 1


def test_one_edit_lies_between_exact_and_anything():
    a, b = random_words(1), random_words(2)
    assert word_accuracy(a, b) < accuracy_within_one_edit(a, b) < 1


def test_total_edit_distance_equals_the_definition():
    a, b = random_words(1), random_words(2)
    assert total_edit_distance(a, b) == sum(map(slow_edit_distance, a, b))


def test_every_metric_equals_its_formula_over_the_definition():
    a, b = random_words(4), random_words(5)
    edits = [slow_edit_distance(p, r) for p, r in zip(a, b)]
    assert accuracy_within_one_edit(a, b) == sum(e < 2 for e in edits) / len(edits)
    assert word_accuracy(a, b) == sum(e == 0 for e in edits) / len(edits)
    ned = [1 - e / max(len(p), len(r)) if p + r else 1 for e, p, r in zip(edits, a, b)]
    assert normalized_edit_distance(a, b) == pytest.approx(sum(ned) / len(ned))


def test_numbers_by_hand():
    # kitten -> sitting: 3 edits of 7; cart -> cat: 1 of 3; right: 1; nothing read: 4 of 4
    predictions = ['kitten', 'cart', 'ok', '']
    references = ['sitting', 'cat', 'ok', 'gone']
    assert total_edit_distance(predictions, references) == 8
    assert character_error_rate(predictions, references) == 8 / 16
    assert word_accuracy(predictions, references) == 1 / 4
    assert word_error_rate(predictions, references) == 3 / 4
    assert accuracy_within_one_edit(predictions, references) == 2 / 4
    assert normalized_edit_distance(predictions, references) == pytest.approx(
        (4 / 7 + 3 / 4 + 1 + 0) / 4
    )


def test_character_error_rate_weighs_by_length_and_may_exceed_one():
    assert character_error_rate(['', 'abcdefghi'], ['x', 'abcdefghi']) == 1 / 10
    assert character_error_rate(['abc'], ['x']) == 3


@pytest.mark.parametrize(
    'prediction, reference, distance, cer, ned',
    [('', '', 0, 0, 1), ('', 'ab', 2, 1, 0), ('ab', '', 2, 2, 0)],
)
def test_empty_strings_are_defined(prediction, reference, distance, cer, ned):
    assert total_edit_distance([prediction], [reference]) == distance
    assert character_error_rate([prediction], [reference]) == cer
    assert normalized_edit_distance([prediction], [reference]) == ned


@pytest.mark.parametrize('metric', METRICS)
@pytest.mark.parametrize(
    'arguments, message',
    [
        ((['a'], ['a', 'b']), 'got 1 predictions for 2 references'),
        ((['a', 'b'], ['a']), 'got 2 predictions for 1 references'),
        (([], []), 'references must hold at least one string'),
        (('ab', ['a', 'b']), "predictions must be a list of strings, got the string 'ab'"),
        ((['a', 'b'], 'ab'), "references must be a list of strings, got the string 'ab'"),
    ],
)
def test_what_cannot_be_paired_is_an_error(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(*arguments)


@pytest.mark.parametrize(
    'options, expected',
    [
        (dict(), "It's 5\u20ac^\u4e2d"),
        (dict(ignore_case=True), "it's 5\u20ac^\u4e2d"),
        (dict(ignore_symbols=True), 'Its5^\u4e2d'),
        (dict(ignore_case=True, ignore_symbols=True), 'its5^\u4e2d'),
    ],
)
def test_normalize_drops_what_it_is_told_to(options, expected):
    text = "It's 5\u20ac^\u4e2d"
    assert normalize(text, **options) == expected
    assert normalize(expected, **options) == expected


def test_symbols_of_latin_and_chinese_texts_are_those_of_mmocr():
    from mmocr.evaluation.metrics import WordMetric

    symbols = re.compile(inspect.signature(WordMetric).parameters['valid_symbol'].default)
    for char in [*map(chr, range(128)), *map(chr, range(0x4E00, 0x9FA6)), *'\u3001\u3002\uff01']:
        assert normalize(char, ignore_symbols=True) == symbols.sub('', char)


@pytest.mark.parametrize(
    'text',
    [
        '\ud55c\uad6d\uc5b4',  # Korean
        '\u0939\u093f\u0928\u094d\u0926\u0940',  # Hindi, with marks
        '\u0639\u064e\u0631\u0628\u064a\u0663',  # Arabic, with a mark and a digit
        '\u0395\u03bb\u03bb\u03ac\u03b4\u03b1',
        '\u0440\u0443\u0441',
        '\u65e5\u3054\u30ab',
        'gr\u00f6\u00dfe',
        'e\u0301',
        '\u0e44\u0e17\u0e22',
    ],
)
def test_letters_digits_and_marks_of_every_script_stay(text):
    assert normalize(f'\u00ab{text}!\u00bb -', ignore_symbols=True) == text


def test_texts_can_be_brought_into_one_unicode_form():
    assert normalize('E\u0301', ignore_case=True, unicode_form='NFC') == '\u00e9'
    assert normalize('E\u0301') == 'E\u0301'
