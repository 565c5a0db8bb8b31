"""Words of a list, of its n-grams, and random strings."""

import pickle
import random
from collections import Counter

import pytest

from mmocr_da.datasets.lexicon import LENGTHS, Alphabet, NGramWords, RandomStrings, Words

LIST = ['banana', 'band', 'cab', 'na\u00efve', 'a b', 'cab']


def draws(generator, count=3000):
    rng = random.Random(0)
    return [generator.draw(rng) for _ in range(count)]


def ngrams(words, order):
    padded = ['\n' * (order - 1) + word for word in words]
    return Counter(word[i : i + order] for word in padded for i in range(len(word) - order + 1))


def test_words_are_a_list_that_no_worker_copies():
    words = Words(LIST)
    assert list(words) == list(pickle.loads(pickle.dumps(words))) == LIST
    assert (len(words), words[3], words.content.nbytes) == (6, LIST[3], sum(map(len, LIST)) + 1)
    assert not len(Words([])) and list(Words([])) == []
    for index in (6, -1):
        with pytest.raises(IndexError):
            words[index]


@pytest.mark.parametrize('order', [1, 2, 3])
def test_words_of_ngrams_have_those_of_the_list(order):
    # Each word ends with a character that has a successor elsewhere, so that no context is lacking.
    words = ['abca', 'aab', 'cabb', 'bc', 'cc']
    drawn = draws(NGramWords(words, order))
    wanted, got = ngrams(words, order), ngrams(drawn, order)
    if order < 3:
        assert set(got) == set(wanted)
    assert ngrams(drawn, 1).keys() == ngrams(words, 1).keys()
    # The first character has no predecessor in any order above 1.
    if order > 1:
        firsts = Counter(word[0] for word in drawn)
        assert firsts['a'] / len(drawn) == pytest.approx(2 / 5, abs=0.03)
    else:
        total = sum(got.values())
        for char, count in wanted.items():
            assert got[char] / total == pytest.approx(count / 15, abs=0.02)


def test_words_of_ngrams_have_the_lengths_of_the_list():
    lengths = Counter(map(len, draws(NGramWords(LIST, 3))))
    assert set(lengths) == {3, 4, 5, 6}
    for length, count in {3: 3, 4: 1, 5: 1, 6: 1}.items():
        assert lengths[length] / 3000 == pytest.approx(count / 6, abs=0.03)


def test_a_list_of_one_word_has_only_this_one():
    # 'b' has no successor: the characters of the list follow it.
    assert set(draws(NGramWords(['xyzb'], 2))) == {'xyzb'}
    assert {word[:2] for word in draws(NGramWords(['ab', 'cdef'], 2)) if word[0] == 'a'} == {'ab'}


def test_random_strings_have_all_characters_and_the_lengths_of_words():
    drawn = draws(RandomStrings('abXY 01+\u0416', 12), 6000)
    assert set(''.join(drawn)) == set('abXY01+\u0416')
    letters = sum(set(word) <= set('abXY\u0416') for word in drawn) / 6000
    digits = sum(set(word) <= set('01') for word in drawn) / 6000
    # Of the strings of all characters, few have one kind.
    assert 0.28 < letters < 0.38 and 0.46 < digits < 0.56
    lengths = Counter(map(len, drawn))
    for length, share in enumerate(LENGTHS, 1):
        assert lengths[length] / 6000 == pytest.approx(share / sum(LENGTHS), abs=0.02)


def test_random_strings_are_no_longer_than_allowed():
    assert set(map(len, draws(RandomStrings('ab', 3)))) == {1, 2, 3}
    assert set(''.join(draws(RandomStrings('+-', 3)))) == {'+', '-'}


def test_a_label_has_characters_of_the_alphabet_alone():
    lower, both = Alphabet('abc\u00e4\u00df1'), Alphabet('abcABC')
    assert lower.label('AbC1\u00c4') == 'abc1\u00e4'
    assert both.label('AbC') == 'AbC'
    assert Alphabet('ABC').label('aBc') == 'ABC'
    assert lower.label('abd') is None and lower.label('ab ') is None
    # Letters whose other case has two characters.
    assert lower.label('\u00df') == '\u00df' and Alphabet('S').label('\u00df') is None
    assert Alphabet('i').label('\u0130') is None
    assert lower.outside('adDe1A') == set('dDe')
