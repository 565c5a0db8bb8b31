"""The picture of a surrogate's quality, and what it returns."""

import cv2
import numpy as np
import pytest

from mmocr_da.models.surrogates.quality import approximation_error, rank_correlation
from mmocr_da.visualization import plot_quality, quality_figure


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 5, 200)
    return (values + rng.normal(0, 0.2, 200)).tolist(), values.tolist()


def test_numbers_are_those_of_the_measures(pairs, tmp_path):
    out = plot_quality(
        {'predictions': pairs, 'pairs': ([0.0, 2.0], [0, 1]), 'none': ([], [])},
        str(tmp_path / 'q.png'),
    )
    assert list(out) == ['predictions', 'pairs']
    assert out['predictions'] == dict(
        num=200, error=approximation_error(*pairs), rank_correlation=rank_correlation(*pairs)
    )
    assert out['pairs'] == dict(num=2, error=0.5, rank_correlation=1.0)


def drawn(pairs, path):
    plot_quality({'predictions': pairs}, str(path))
    return cv2.imread(str(path))


def test_a_better_surrogate_is_another_picture(pairs, tmp_path):
    images = [
        drawn(p, tmp_path / f'{i}.png') for i, p in enumerate((pairs, (pairs[1], pairs[1]), pairs))
    ]
    assert images[0].std() > 10 and images[0].shape[1] > 400
    assert np.array_equal(images[0], images[2]) and not np.array_equal(images[0], images[1])


def test_one_value_alone_can_be_drawn(tmp_path):
    out = plot_quality({'predictions': ([0.1, 0.2], [0, 0])}, str(tmp_path / 'q.png'))
    assert out['predictions']['rank_correlation'] is None


def test_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match='must hold pairs of estimates and values, got none'):
        plot_quality({'predictions': ([], [])}, str(tmp_path / 'q.png'))


def test_a_figure_has_a_panel_with_a_box_per_value(pairs):
    (ax,) = quality_figure({'predictions': pairs, 'none': ([], [])}).axes
    assert ax.get_title().startswith('200 predictions\nmean error ')
    assert sorted(int(text.get_text()) for text in ax.texts) == sorted(np.bincount(pairs[1]))
