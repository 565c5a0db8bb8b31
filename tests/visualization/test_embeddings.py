"""Maps of features: what is drawn where, and that two models are comparable."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmocr_da.visualization import DomainPoints, embedding_figure
from mmocr_da.visualization.colors import COLORS, DOMAIN_COLORS, OTHERS
from mmocr_da.visualization.embeddings import _densest, _most_frequent, embed


def points(num=24, gap=9.0, classes=True, seed=0):
    """Source and target alternate; the target is ``gap`` away in each dimension."""
    features = np.random.default_rng(seed).normal(size=(num, 6))
    features[1::2] += gap
    domains = ['source', 'target'] * (num // 2)
    return DomainPoints(
        features, domains, range(num), list('abac' * num)[:num] if classes else None
    )


def test_groups_stay_apart_and_a_seed_fixes_the_map():
    part = points()
    found = embed(part.features)
    assert found.shape == (24, 2) and np.array_equal(found, embed(part.features))
    middles = [found[part.is_target == domain].mean(0) for domain in (False, True)]
    spread = max(found[part.is_target == domain].std() for domain in (False, True))
    assert np.linalg.norm(middles[0] - middles[1]) > spread


@pytest.mark.parametrize('features', [np.ones((5, 3)), np.arange(5.0)[:, None]])
def test_features_without_two_dimensions_have_a_map(features):
    assert np.isfinite(embed(features)).all()


def test_too_few_features_are_an_error():
    with pytest.raises(ValueError, match='features must be 4 at least, got 3'):
        embed(np.ones((3, 2)))


@pytest.fixture(scope='module')
def figure():
    models = {
        name: dict(images=points(gap=gap, classes=False), characters=points(gap=gap))
        for name, gap in (('before', 9.0), ('after', 0.0))
    }
    return embedding_figure(models)


def test_each_model_is_a_column_and_each_kind_a_row(figure):
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == 'before: 24 images, A-distance 2.00'
    assert [title.split(',')[0] for title in titles] == [
        'before: 24 images',
        'after: 24 images',
        'before: 24 characters',
        'after: 24 characters',
        'before: characters by class',
        'after: characters by class',
    ]
    assert float(titles[1].split()[-1]) < 1


def test_every_feature_is_drawn_in_the_colour_of_its_domain_or_class(figure):
    def colors(ax):
        drawn = np.concatenate(
            [np.repeat(c.get_facecolors(), len(c.get_offsets()) / len(c.get_facecolors()), 0)
             for c in ax.collections if len(c.get_offsets())]
        )[:, :3]  # fmt: skip
        return {tuple(color): int(num) for color, num in zip(*np.unique(drawn, axis=0, return_counts=True))}  # fmt: skip # noqa: E501

    expected = {to_rgb(color): 12 for color in DOMAIN_COLORS.values()}
    assert colors(figure.axes[0]) == expected
    assert colors(figure.axes[4]) == dict(zip(map(to_rgb, COLORS), (12, 6, 6)))
    assert {text.get_text() for text in figure.axes[4].texts} == {'a', 'b', 'c'}


def test_no_legend_covers_a_point(figure):
    figure.draw_without_rendering()
    legends = [ax.get_legend() for ax in figure.axes]
    assert [legend is not None for legend in legends] == [False, True] * 3
    for ax, legend in zip(figure.axes, legends):
        if legend is not None:
            box = legend.get_window_extent()
            assert box.x0 > ax.get_window_extent().x1 and box.x1 <= figure.bbox.x1 + 1
    labels = [text.get_text() for text in legends[5].get_texts()]
    assert labels == ['a', 'b', 'c', 'others', 'source', 'target']


def test_any_character_has_its_name_in_the_legend():
    part = points(classes=False)._replace(classes=['_', ' ', '$', 'x'] * 6)
    figure = embedding_figure({'features': {'characters': part}})
    figure.draw_without_rendering()
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels[:4] == ['\u2423', '$', '_', 'x']


def test_rare_classes_share_a_colour():
    colors = _most_frequent([points()], 2)
    assert colors == dict(a=COLORS[0], b=COLORS[1]) and OTHERS not in COLORS


def test_a_name_is_where_its_points_are():
    """Between two groups there is no point; the larger group has the name."""
    places = np.array([[0.0, 0], [0, 1], [1, 0], [9, 9], [9.5, 9], [9, 9.2], [9.2, 9.1], [5, 5]])
    assert 3 <= _densest(places) <= 6


def test_a_part_keeps_features_and_their_names_together():
    part = points()
    kept = part.subset(5, seed=1)
    assert kept.domains.count('source') == kept.domains.count('target') == 5
    for i, owner in enumerate(kept.owners):
        np.testing.assert_array_equal(kept.features[i], part.features[owner])
        assert kept.classes[i] == part.classes[owner]
        assert kept.domains[i] == part.domains[owner]
    assert len(part.subset(99).domains) == 24


def test_nothing_is_an_error():
    with pytest.raises(ValueError, match='models must hold features, got none'):
        embedding_figure({})
