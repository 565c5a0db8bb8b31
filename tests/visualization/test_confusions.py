"""The picture of confusions: shares of rows, and a list of the most frequent ones."""

import numpy as np
import pytest

from mmocr_da.evaluation import CharacterConfusions
from mmocr_da.visualization import confusion_figure

BEFORE = CharacterConfusions(['00w', 'dg', 'aa '], ['oow', 'dog', 'aa'])
AFTER = CharacterConfusions(['o0w', 'dog', 'aa'], ['oow', 'dog', 'aa'])


@pytest.fixture(scope='module')
def figure():
    return confusion_figure({'before': BEFORE, 'after': AFTER})


def test_a_row_has_the_shares_of_what_was_predicted(figure):
    before, after, bars, _ = figure.axes
    names = ['\u2205', '\u2423', '0', 'o']
    for ax in (before, after):
        assert [text.get_text() for text in ax.get_yticklabels()] == names
        assert [text.get_text() for text in ax.get_xticklabels()] == names * 2  # below and above
    shares = np.asarray(before.images[0].get_array())
    # Of three o, two were taken for 0, and one was left out; a space was inserted.
    np.testing.assert_allclose(shares[3], [1 / 3, 0, 2 / 3, 0])
    np.testing.assert_allclose(shares[0], [0, 1, 0, 0])
    np.testing.assert_allclose(np.asarray(after.images[0].get_array())[3], [0, 0, 1 / 3, 2 / 3])
    assert before.get_title() == 'before: CER 50.0% (4 / 8)'
    assert after.get_title() == 'after: CER 12.5% (1 / 8)'


def test_the_most_frequent_confusions_of_both_are_listed(figure):
    bars = figure.axes[2]
    assert [text.get_text() for text in bars.get_yticklabels()] == [
        'o \u2192 0',
        '\u2205 \u2192 \u2423',
        'o \u2192 \u2205',
    ]
    assert [[bar.get_width() for bar in drawn] for drawn in bars.containers] == [
        [2, 1, 1],
        [1, 0, 0],
    ]
    figure.draw_without_rendering()
    assert bars.get_legend().get_window_extent().x0 > bars.get_window_extent().x1


def test_one_recognizer_needs_no_legend():
    figure = confusion_figure({'model': BEFORE}, num_classes=2, num_bars=1)
    assert figure.axes[1].get_legend() is None
    assert figure.axes[0].images[0].get_array().shape == (2, 2)
    assert len(figure.axes[1].get_yticklabels()) == 1


def test_right_predictions_have_a_picture_and_nothing_has_none():
    figure = confusion_figure({'model': CharacterConfusions(['a'], ['a'])})
    assert figure.axes[0].get_title() == 'model: CER 0.0% (0 / 1)'
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match='models must have characters, got none'):
        confusion_figure({'model': CharacterConfusions([], [])})
