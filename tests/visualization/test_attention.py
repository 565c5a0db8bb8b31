"""Pictures of attention: a row per image and model, a column per character."""

import numpy as np
import pytest

from mmocr_da.visualization import AttendedText, attention_figure


def attended(text, column=0, places=4):
    maps = np.zeros((len(text), 1, places))
    maps[:, 0, column] = 0.5
    return AttendedText(np.random.default_rng(0).random((8, 40)), list(text), maps)


def shown(ax):
    """The weights on a picture, from 0 to 1, from left to right; None without a picture."""
    return None if len(ax.images) < 2 else np.asarray(ax.images[1].get_array())


def test_rows_are_images_and_models_and_columns_are_characters():
    models = {'before': [attended('ab'), attended('')], 'after': [attended('abc'), attended('x')]}
    figure = attention_figure(models, ['ABC', 'y'], normalized=str.lower)
    titles = np.array([ax.get_title() for ax in figure.axes]).reshape(4, 4)
    assert titles.tolist() == [
        ['\u2717 ab', 'a', 'b', ''],
        ['\u2713 abc', 'a', 'b', 'c'],
        ['\u2717 (empty)', '', '', ''],
        ['\u2717 x', 'x', '', ''],
    ]
    beside = [[text.get_text() for text in ax.texts] for ax in figure.axes[::4]]
    assert beside == [['before', 'label ABC'], ['after'], ['before', 'label y'], ['after']]


@pytest.mark.parametrize('column', range(4))
def test_the_place_of_the_greatest_weight_is_coloured_most(column):
    figure = attention_figure({'model': [attended('ab', column)]})
    for ax in figure.axes[1:]:
        heat = shown(ax)
        assert heat.shape == (8, 40) and heat.max() == pytest.approx(1) and heat.min() == 0
        # The middle of the place: each is 10 pixels wide.
        assert heat[0].argmax() // 10 == column and heat[0, 10 * column + 5] > 0.9
    assert shown(figure.axes[0]) is None


def test_long_texts_are_cut():
    figure = attention_figure({'model': [attended('abcdef')]}, max_characters=3)
    assert len(figure.axes) == 4 and figure.axes[-1].texts[0].get_text() == '\u2026'
    assert figure.axes[0].get_title() == 'abcdef'


def test_long_titles_do_not_reach_the_next_one():
    figure = attention_figure({'model': [attended('w' * 40)]}, ['m' * 40])
    figure.draw_without_rendering()
    left, right = (ax.title.get_window_extent() for ax in figure.axes[:2])
    assert left.x1 <= right.x0 + 2
    assert figure.axes[0].texts[0].get_text() == 'label ' + 'm' * 13 + '\u2026'


def test_formulas_are_texts():
    figure = attention_figure({'model': [attended('$5$')]}, ['$5$'])
    figure.draw_without_rendering()


@pytest.mark.parametrize('models', [{'a': []}, {'a': [attended('x')], 'b': []}])
def test_other_numbers_of_images_are_an_error(models):
    with pytest.raises(ValueError, match='must have texts of the same images, at least one, got'):
        attention_figure(models)
