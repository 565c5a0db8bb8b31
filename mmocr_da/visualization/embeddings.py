"""Maps of features of both domains, before and after an adaptation (ASSDA, fig. 8)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from mmocr_da.evaluation.confusions import shown
from mmocr_da.evaluation.domain_distance import proxy_a_distance

from .colors import COLORS, DOMAIN_COLORS, DOMAIN_MARKERS, OTHERS

#: Smallest number of features of which a map is drawn.
FEWEST = 4
#: Dimensions that remain before t-SNE, as in the experiments of its paper and many more.
DIMENSIONS = 50


class DomainPoints(NamedTuple):
    """Features of both domains.

    Attributes:
        features: ``(M, D)``.
        domains: M names, ``'source'`` or ``'target'``.
        owners: ``(M,)``, the image of each feature.
        classes: The M characters; None for features of whole images.
    """

    features: NDArray[Any]
    domains: Sequence[str]
    owners: Sequence[int]
    classes: Sequence[str] | None = None

    @property
    def is_target(self) -> NDArray[Any]:
        """``(M,)`` bool."""
        return np.asarray(self.domains) == 'target'

    def subset(self, num: int, seed: int = 0) -> 'DomainPoints':
        """At most ``num`` features of each domain, drawn at random."""
        order = np.random.default_rng(seed).permutation(len(self.domains))
        kept = np.concatenate(
            [order[self.is_target[order] == is_target][:num] for is_target in (False, True)]
        )
        return DomainPoints(
            self.features[kept],
            [self.domains[i] for i in kept],
            [self.owners[i] for i in kept],
            None if self.classes is None else [self.classes[i] for i in kept],
        )


def embed(features: NDArray[Any], seed: int = 0) -> NDArray[Any]:
    """Lay features out in the plane by t-SNE, ``(M, D) -> (M, 2)``.

    t-SNE (van der Maaten & Hinton, JMLR 2008) keeps neighbours together; distances between groups
    and their sizes mean little. It starts from the first two principal components, so that the same
    features give the same map.

    Raises:
        ValueError: If there are too few features.
    """
    from sklearn.decomposition import PCA  # scikit-learn takes a second to import
    from sklearn.manifold import TSNE

    if len(features) < FEWEST:
        raise ValueError(f'features must be {FEWEST} at least, got {len(features)}')
    features = np.asarray(features, float)
    if min(features.shape) > DIMENSIONS:
        features = PCA(DIMENSIONS, random_state=seed).fit_transform(features)
    init = 'pca' if features.shape[1] > 1 and np.ptp(features, 0).max() > 0 else 'random'
    perplexity = min(30, (len(features) - 1) / 3)
    found = TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(features)
    return np.asarray(found)


def embedding_figure(
    models: Mapping[str, Mapping[str, DomainPoints]], seed: int = 0, num_classes: int = len(COLORS)
) -> Figure:
    """Draw features by domain, and those with classes also by class.

    There is one map per model and kind of features. Features of two models lie in two spaces: a
    joint map would show first of all that the models differ. So compare how the domains mix within
    a map, and not the places of two maps.

    Args:
        models: Features by the name of the model, such as ``'before'``, and by their kind, such as
            ``'characters'``. The models are columns, from left to right.
        seed: Of the maps and of the halves of the proxy A-distance, which the titles state: 0 if a
            linear classifier cannot tell the domains apart, 2 if it always can.
        num_classes: Number of the most frequent classes that have a colour of their own.

    Raises:
        ValueError: If there are no features, or too few of one kind.
    """
    kinds = list(dict.fromkeys(kind for points in models.values() for kind in points))
    if not kinds:
        raise ValueError('models must hold features, got none')
    rows = [(kind, False) for kind in kinds]
    rows += [
        (kind, True)
        for kind in kinds
        if all(points[kind].classes is not None for points in models.values())
    ]
    frequent = {
        kind: _most_frequent([points[kind] for points in models.values()], num_classes)
        for kind, by_class in rows
        if by_class
    }
    # Without pyplot, which would choose a backend for the whole process.
    figure = Figure(figsize=(4 * len(models) + 1.2, 3.7 * len(rows)), layout='constrained')
    axes = figure.subplots(len(rows), len(models), squeeze=False)
    places = {
        (name, kind): embed(points[kind].features, seed)
        for name, points in models.items()
        for kind in kinds
    }
    for line, (kind, by_class) in zip(axes, rows):
        for ax, (name, points) in zip(line, models.items()):
            if by_class:
                _draw_classes(ax, places[name, kind], points[kind], frequent[kind], seed)
                ax.set_title(f'{name}: {kind} by class', fontsize=10)
            else:
                _draw_domains(ax, places[name, kind], points[kind], seed)
                distance = proxy_a_distance(
                    points[kind].features, points[kind].is_target, points[kind].owners, seed
                )
                ax.set_title(
                    f'{name}: {len(points[kind].domains)} {kind}, A-distance {distance:.2f}',
                    fontsize=10,
                )
            ax.set(xticks=[], yticks=[])
        colors = frequent[kind] if by_class else DOMAIN_COLORS
        handles = _handles(colors, by_class)
        legend = line[-1].legend(
            handles,
            [' '] * len(handles),
            loc='upper left',
            bbox_to_anchor=(1.02, 1),
            borderaxespad=0,
            frameon=False,
            fontsize=9,
        )
        for text, handle in zip(legend.get_texts(), handles):
            # Not by the legend itself: it leaves out a label that is an underscore.
            text.set(text=shown(str(handle.get_label())), parse_math=False)
    return figure


def _most_frequent(points: Sequence[DomainPoints], num: int) -> dict[str, str]:
    """Colours of the most frequent classes."""
    counts = Counter(char for part in points for char in part.classes or ())
    # Equal numbers in the order of the characters: the same for any order of the images.
    classes = sorted(counts, key=lambda char: (-counts[char], char))[: min(num, len(COLORS))]
    return dict(zip(sorted(classes), COLORS))


def _draw_domains(ax: Axes, places: NDArray[Any], points: DomainPoints, seed: int) -> None:
    _scatter(ax, places, points, [DOMAIN_COLORS[domain] for domain in points.domains], seed)


def _draw_classes(
    ax: Axes, places: NDArray[Any], points: DomainPoints, colors: Mapping[str, str], seed: int
) -> None:
    classes = np.asarray(points.classes)
    _scatter(ax, places, points, [colors.get(char, OTHERS) for char in classes], seed)
    for char, color in colors.items():
        own = places[classes == char]
        if len(own):
            x, y = own[_densest(own)]
            text = ax.text(x, y, shown(char), color=color, size=14, weight='bold', ha='center')
            text.set(va='center', parse_math=False)
            text.set_path_effects([withStroke(linewidth=3, foreground='white')])


def _densest(places: NDArray[Any]) -> int:
    """The point nearest to a quarter of the others: the mean may lie between two groups."""
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    quarter = len(places) // 4
    return int(np.partition(distances, quarter, axis=1)[:, quarter].argmin())


def _scatter(
    ax: Axes, places: NDArray[Any], points: DomainPoints, colors: Sequence[str], seed: int
) -> None:
    # In a random order, a few at a time: neither domain may cover the other.
    order = np.random.default_rng(seed).permutation(len(places))
    domains, colored = np.asarray(points.domains), np.asarray(colors)
    for part in np.array_split(order, 20):
        for domain, marker in DOMAIN_MARKERS.items():
            chosen = part[domains[part] == domain]
            ax.scatter(
                places[chosen, 0],
                places[chosen, 1],
                s=14,
                c=colored[chosen].tolist(),
                marker=marker,
                alpha=0.7,
                linewidths=0,
            )


def _handles(colors: Mapping[str, str], by_class: bool) -> list[Line2D]:
    def handle(label: str, color: str, marker: str) -> Line2D:
        return Line2D([], [], color=color, marker=marker, linestyle='', label=label)

    if not by_class:
        return [handle(d, color, DOMAIN_MARKERS[d]) for d, color in colors.items()]
    classes = [handle(char, color, 's') for char, color in colors.items()]
    others = [handle('others', OTHERS, 's')]
    return classes + others + [handle(d, '0.4', m) for d, m in DOMAIN_MARKERS.items()]
