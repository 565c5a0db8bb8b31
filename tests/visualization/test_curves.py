"""Training curves: every line has its name beside its end, and nothing lies over a line."""

import numpy as np
import pytest
from matplotlib.colors import same_color

from mmocr_da.visualization import curves_figure
from mmocr_da.visualization.curves import spread
from mmocr_da.visualization.pictures import figure_bytes

RUN = {
    'loss': {10: 3.0, 20: 2.0, 30: 1.0},
    'loss_ctc': {10: 1.0, 20: 1.0, 30: 1.001},
    'global_lambda': {10: 0.0, 20: 0.5},
    'target/recog/cer': {30: 0.4},
    'lr': {10: 1.0},
}


def names(ax):
    return {text.get_text(): text for text in ax.texts}


@pytest.mark.parametrize('runs', [{'a': RUN}, {'a': RUN, 'b': RUN, 'c': {'loss': {10: 9.0}}}])
def test_every_line_has_a_name_of_its_colour_outside_of_the_axes(runs):
    figure = curves_figure(runs)
    figure.draw_without_rendering()
    assert [ax.get_title().split(':')[0] for ax in figure.axes] == [
        'loss',
        'lambda and weights',
        'CER',
    ]
    for ax in figure.axes:
        assert ax.get_legend() is None and len(ax.texts) == len(ax.lines)
        assert all(
            any(same_color(text.get_color(), line.get_color()) for line in ax.lines)
            for text in ax.texts
        )
        boxes = sorted(
            (super(type(text), text).get_window_extent() for text in ax.texts), key=lambda b: b.y0
        )
        assert all(box.x0 > ax.get_window_extent().x1 for box in boxes)
        assert all(box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(lower.y1 <= upper.y0 + 3 for lower, upper in zip(boxes, boxes[1:]))


def test_a_name_points_to_the_end_of_its_line():
    (ax, *_) = curves_figure({'a': RUN}).axes
    assert {name: text.xy for name, text in names(ax).items()} == {
        'loss': (30, 1.0),
        'loss_ctc': (30, 1.001),
    }


def test_names_of_several_runs():
    figure = curves_figure({'a': RUN, 'b': RUN})
    assert set(names(figure.axes[0])) == {
        f'{run}: {name}' for run in 'ab' for name in ('loss', 'loss_ctc')
    }
    assert figure.axes[1].get_title() == 'lambda and weights: global_lambda'
    assert set(names(figure.axes[1])) == {'a', 'b'}
    lines = figure.axes[0].lines
    assert [line.get_linestyle() for line in lines] == ['-', '--', '-', '--']
    colors = [line.get_color() for line in lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]


def test_only_some_scalars():
    figure = curves_figure({'a': RUN}, only='^loss$|cer')
    assert [len(ax.lines) for ax in figure.axes] == [1, 1]
    with pytest.raises(ValueError, match='must have logged one of loss, lambda .* got none in a'):
        curves_figure({'a': RUN}, only='^lr$')


@pytest.mark.parametrize('seed', range(20))
def test_names_are_apart_in_order_and_no_further_than_needed(seed):
    rng = np.random.default_rng(seed)
    places = np.sort(rng.random(rng.integers(1, 12)))
    found = np.array(spread(places, 0.05))
    assert (np.diff(found) >= 0.05 - 1e-9).all()
    assert found.min() > -1e-9 and found.max() < 1 + 1e-9
    if (np.diff(places) >= 0.05).all():
        np.testing.assert_allclose(found, places)


def test_more_names_than_places_stay_apart():
    np.testing.assert_allclose(np.diff(spread([0.5] * 30, 0.1)), 0.1)


def test_what_is_no_number_has_no_place():
    nan = float('nan')
    runs = {'a': {'loss': {10: nan, 20: 2.0, 30: nan}, 'lr': {10: nan}}}
    figure = curves_figure(runs)
    (ax,) = figure.axes
    assert ax.lines[0].get_xydata().tolist() == [[20, 2]]
    figure_bytes(figure)  # matplotlib fails at a line without a point
    with pytest.raises(ValueError, match='got none in a'):
        curves_figure({'a': {'lr': {10: nan}}})
