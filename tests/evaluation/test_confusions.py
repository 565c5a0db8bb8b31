"""Confusions of characters: their numbers are those of the edit distance."""

import numpy as np
import pytest

from mmocr_da.evaluation import CharacterConfusions, edit_distances
from mmocr_da.evaluation.confusions import NOTHING, aligned, classes_of


def texts(seed, num=50):
    rng = np.random.default_rng(seed)
    return [''.join(rng.choice(list('abcd'), rng.integers(0, 7))) for _ in range(num)]


def test_errors_are_the_edits():
    labels, predictions = texts(0), texts(1)
    found = CharacterConfusions(predictions, labels)
    assert found.errors == sum(edit_distances(predictions, labels))
    assert found.num_characters == sum(map(len, labels))


@pytest.mark.parametrize('seed', range(10))
def test_pairs_are_both_texts_in_order(seed):
    for label, prediction in zip(texts(seed), texts(seed + 100)):
        pairs = aligned(label, prediction)
        assert ''.join(a for a, _ in pairs) == label
        assert ''.join(b for _, b in pairs) == prediction
        assert (NOTHING, NOTHING) not in pairs


def test_a_matrix_by_hand():
    """'kitten' -> 'sitting': k is s, e is i, and a g is inserted; 'ab' -> 'b': a is left out."""
    found = CharacterConfusions(['sitting', 'b'], ['kitten', 'ab'])
    assert found.most_frequent() == [('', 'g', 1), ('a', '', 1), ('e', 'i', 1), ('k', 's', 1)]
    classes = ['', 'a', 'b', 'e', 'g', 'i', 'k', 's', 't']
    expected = np.zeros((9, 9), int)
    for label, predicted, num in (
        ('', 'g', 1),
        ('a', '', 1),
        ('b', 'b', 1),
        ('e', 'i', 1),
        ('i', 'i', 1),
        ('k', 's', 1),
        ('t', 't', 2),
    ):
        expected[classes.index(label), classes.index(predicted)] = num
    np.testing.assert_array_equal(found.matrix(classes), expected)
    np.testing.assert_array_equal(found.matrix(['t', 'x']), [[2, 0], [0, 0]])


def test_all_pairs_are_in_the_matrix_of_all_classes():
    labels, predictions = texts(2), texts(3)
    found = CharacterConfusions(predictions, labels)
    matrix = found.matrix(found.classes(99))
    assert matrix.sum() == sum(found.counts.values())
    assert matrix.sum() - np.trace(matrix) == found.errors
    swapped = CharacterConfusions(labels, predictions)
    assert swapped.errors == found.errors and swapped.classes(99) == found.classes(99)


def test_classes_are_those_with_most_errors():
    found = CharacterConfusions(['x', 'x', 'y', 'right'], ['o', 'o', 'z', 'right'])
    assert found.classes(2) == ['o', 'x'] and found.classes(3) == ['o', 'x', 'y']
    assert found.most_frequent(1) == [('o', 'x', 2)]
    other = CharacterConfusions(['q'] * 5, ['p'] * 5)
    assert classes_of([found, other], 2) == ['p', 'q']


def test_right_predictions_have_no_confusion():
    found = CharacterConfusions(['ab'], ['ab'])
    assert (found.errors, found.most_frequent(), found.classes(5)) == (0, [], [])
    assert found.matrix(['a', 'b']).tolist() == [[1, 0], [0, 1]]


def test_other_numbers_of_texts_are_an_error():
    with pytest.raises(ValueError, match='predictions needs one text per label, got 1 for 2'):
        CharacterConfusions(['a'], ['a', 'b'])
