"""Pictures of the characters that recognizers take for others."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from mmocr_da.evaluation.confusions import CharacterConfusions, classes_of, shown

from .colors import COLORS


def confusion_figure(
    models: Mapping[str, CharacterConfusions], num_classes: int = 36, num_bars: int = 20
) -> Figure:
    """Draw a confusion matrix per model, and the most frequent confusions.

    A row of a matrix is a character of the labels; its colours are the shares of what was predicted
    for it. The row of insertions, at the character of the empty set, has the shares of what was
    inserted, and the column of it what was left out.

    Args:
        models: Confusions on the same images by the name of the model, such as ``'before'``.
        num_classes: Number of characters of a matrix, those with most errors of all models.
        num_bars: Number of confusions that are listed, the most frequent ones of all models.

    Raises:
        ValueError: If there is no character.
    """
    if not any(confusions.counts for confusions in models.values()):
        raise ValueError('models must have characters, got none: are there labels?')
    classes = classes_of(models.values(), num_classes)
    size = max(3.2, 0.17 * len(classes) + 0.8)
    # Without pyplot, which would choose a backend for the whole process.
    figure = Figure(figsize=(size * len(models) + 3.6, max(size, 4.2)), layout='constrained')
    ratios = [size] * len(models) + [3.0]
    *matrices, bars = figure.subplots(1, len(ratios), width_ratios=ratios)
    for ax, (name, confusions) in zip(matrices, models.items()):
        image = _draw_matrix(ax, confusions, classes)
        errors, num = confusions.errors, confusions.num_characters
        ax.set_title(f'{name}: CER {errors / max(num, 1):.1%} ({errors} / {num})', fontsize=10)
    matrices[0].set_ylabel('label', fontsize=9)
    if image is not None:
        bar = figure.colorbar(image, ax=matrices, shrink=0.6, pad=0.01)
        bar.ax.tick_params(labelsize=8)
        bar.set_label('share of the row', fontsize=9)
    _draw_bars(bars, models, num_bars)
    return figure


def _draw_matrix(
    ax: Axes, confusions: CharacterConfusions, classes: Sequence[str]
) -> AxesImage | None:
    totals: Counter[str] = Counter()
    for (label, _), count in confusions.counts.items():
        totals[label] += count
    if not classes:
        ax.axis('off')
        return None
    counts = confusions.matrix(classes)
    shares = counts / np.maximum([[totals[char]] for char in classes], 1)
    # With the root, one error in a hundred is visible.
    image = ax.imshow(shares, cmap='Blues', norm=PowerNorm(0.5, 0, 1))
    names = [shown(char) for char in classes]
    size = min(9.0, 320 / len(classes))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(len(classes)), names, fontsize=size, parse_math=False)
        axis.set_ticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    ax.grid(which='minor', color='0.9', linewidth=0.4)
    ax.tick_params(which='both', length=0)
    ax.tick_params(top=True, labeltop=True)
    ax.set_xlabel('prediction', fontsize=9)
    return image


def _draw_bars(ax: Axes, models: Mapping[str, CharacterConfusions], num: int) -> None:
    total: Counter[tuple[str, str]] = Counter()
    for confusions in models.values():
        total.update(confusions.confused())
    pairs = sorted(total, key=lambda pair: (-total[pair], pair))[:num]
    if not pairs:
        ax.axis('off')
        return
    height = 0.8 / len(models)
    for i, (name, confusions) in enumerate(models.items()):
        values = [confusions.counts[pair] for pair in pairs]
        places = np.arange(len(pairs)) + (i - (len(models) - 1) / 2) * height
        drawn = ax.barh(places, values, height * 0.9, color=COLORS[i % len(COLORS)], label=name)
        ax.bar_label(drawn, fontsize=7, padding=2)
    names = [f'{shown(label)} \u2192 {shown(predicted)}' for label, predicted in pairs]
    ax.set_yticks(range(len(pairs)), names, fontsize=9, parse_math=False)
    ax.invert_yaxis()
    ax.margins(x=0.15, y=0.01)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.spines[['top', 'right']].set_visible(False)
    ax.tick_params(axis='x', labelsize=8)
    ax.set_xlabel('number', fontsize=9)
    ax.set_title('most frequent, label \u2192 prediction', fontsize=10)
    if len(models) > 1:
        ax.legend(loc='upper left', bbox_to_anchor=(1.02, 1), borderaxespad=0, frameon=False)
