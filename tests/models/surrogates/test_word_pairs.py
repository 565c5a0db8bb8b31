"""Every distance equally often, and exactly."""

import editdistance
import numpy as np
import pytest
from scipy.stats import chisquare

from mmocr_da.models.surrogates.word_pairs import WordPairGenerator, word_at_distance

CHARACTERS = range(10)


@pytest.mark.parametrize('word', [(), (3,), (1, 2, 3), (5,) * 8])
@pytest.mark.parametrize('distance', [0, 1, 4, 8])
def test_the_distance_is_exact(word, distance):
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = word_at_distance(word, distance, CHARACTERS, 8, rng)
        assert editdistance.eval(word, other) == distance
        assert len(other) <= 8 and set(other) <= {*word, *CHARACTERS}


def test_distance_0_is_the_word():
    assert word_at_distance((1, 2), 0, CHARACTERS, 8, np.random.default_rng(0)) == (1, 2)


def test_two_characters_are_enough_and_one_is_not():
    assert word_at_distance((0, 0), 4, (0, 1), 4, np.random.default_rng(0)).count(1) >= 2
    with pytest.raises(ValueError, match='two characters at least, got .* 8 and 1 char'):
        word_at_distance((0, 0), 4, (0, 0), 8, np.random.default_rng(0))
    with pytest.raises(ValueError, match='distance of 9 from a word of 2 characters needs'):
        word_at_distance((0, 0), 9, CHARACTERS, 8, np.random.default_rng(0))
    with pytest.raises(ValueError, match='from a word of 9 characters needs a max_length'):
        word_at_distance((0,) * 9, 1, CHARACTERS, 8, np.random.default_rng(0))


def test_all_three_edits_happen():
    """Of one edit, the length tells which it was."""
    rng = np.random.default_rng(0)
    lengths = np.bincount(
        [len(word_at_distance((1, 2, 3), 1, CHARACTERS, 8, rng)) for _ in range(900)]
    )
    assert set(np.nonzero(lengths)[0]) == {2, 3, 4}
    # A third each, but that a substitution by the same character is none (1 of 10).
    assert lengths[2:5] / 900 == pytest.approx([1 / 2.9, 0.9 / 2.9, 1 / 2.9], abs=0.06)


def test_every_place_can_be_edited():
    rng = np.random.default_rng(0)
    changed = set()
    for _ in range(300):
        other = word_at_distance((1, 1, 1, 1), 1, (2, 3), 4, rng)
        if len(other) == 4:
            changed |= {i for i, c in enumerate(other) if c != 1}
    assert changed == {0, 1, 2, 3}


def test_pairs_are_uniform_over_the_distance():
    generator = WordPairGenerator(CHARACTERS, 12, 5)
    words = [(1, 2, 3), (4, 5, 6, 7), (8,)]
    pairs = generator(words, 3000, np.random.default_rng(0))
    assert all(editdistance.eval(z, y) == e and y in words for z, y, e in pairs)
    assert chisquare(np.bincount([e for *_, e in pairs], minlength=6)).pvalue > 0.01
    assert chisquare(np.unique([y[0] for _, y, _ in pairs], return_counts=True)[1]).pvalue > 0.01


def test_same_seed_same_pairs():
    generator = WordPairGenerator(CHARACTERS, 12, 5)
    draw = [generator([(1, 2, 3)], 20, np.random.default_rng(s)) for s in (0, 0, 1)]
    assert draw[0] == draw[1] != draw[2]


def test_a_long_word_is_cut_off():
    ((_, word, _),) = WordPairGenerator(CHARACTERS, 3, 1)(
        [(1, 2, 3, 4)], 1, np.random.default_rng(0)
    )
    assert word == (1, 2, 3)


@pytest.mark.parametrize('distance', [0, 9, 2.5])
def test_a_distance_beyond_the_longest_text_is_refused(distance):
    with pytest.raises(ValueError, match=f'from 1 to 8, the longest text, got {distance}'):
        WordPairGenerator(CHARACTERS, 8, distance)
