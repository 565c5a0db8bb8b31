"""Sheets of views: a row per image, and lines between the windows that a loss compares."""

import numpy as np
import pytest

from mmocr_da.visualization import ViewsOfImage, views_figure


def row(width=40, valid=None, draws=2):
    image = np.random.default_rng(0).integers(0, 256, (10, width, 3), np.uint8)
    return ViewsOfImage(image, [[image, image + 1]] * draws, valid)


def places(ax):
    """Columns of the lines, from the left side of the picture; each is drawn in two colours."""
    found = [line.get_xdata()[0] + 0.5 for line in ax.lines]
    assert found[::2] == found[1::2]
    return found[::2]


def test_a_row_has_the_image_and_the_views_of_each_draw():
    figure = views_figure([row(), row()])
    pictures = [ax for ax in figure.axes if ax.images]
    assert len(pictures) == 2 * (1 + 2 * 2)
    heads = [ax.get_title() for ax in pictures[:5]]
    assert heads == ['image', 'view 1', 'view 2', 'view 1', 'view 2']
    np.testing.assert_array_equal(pictures[1].images[0].get_array(), row().image)
    np.testing.assert_array_equal(pictures[2].images[0].get_array(), row().image + 1)
    assert not any(ax.lines for ax in figure.axes)


def test_windows_divide_views_evenly_and_the_image_not_at_all():
    pictures = [ax for ax in views_figure([row()], windows=5).axes if ax.images]
    assert places(pictures[0]) == []
    for ax in pictures[1:]:
        np.testing.assert_allclose(places(ax), [8, 16, 24, 32])
        assert ax.get_xlim() == (-0.5, 39.5)  # the lines do not change what is shown


def test_padding_belongs_to_no_window():
    pictures = [
        ax for ax in views_figure([row(valid=[[1.0, 0.5]], draws=1)], windows=2).axes if ax.images
    ]
    assert (places(pictures[1]), places(pictures[2])) == ([20], [10])


def test_nothing_is_an_error():
    with pytest.raises(ValueError, match='rows must have at least one image, got none'):
        views_figure([])
