"""Plots estimates of a learned surrogate against its metric (Patel et al., ECCV 2020, fig. 2)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmocr_da.models.surrogates.quality import approximation_error, rank_correlation

from .pictures import save_picture

# Estimates and values of pairs of one kind.
Pairs = tuple[Sequence[float], Sequence[float]]


def quality_figure(kinds: Mapping[str, Pairs], unit: str = 'edits', step: float = 0) -> Figure:
    """Draw the estimates ``e_hat`` against the values ``e``, one panel per kind of pairs.

    A box shows the middle half of the estimates at a value, its line the median; whiskers reach
    from 5 to 95 %. The number below is the number of pairs.

    Args:
        kinds: ``(estimates, values)`` by kind of pairs, such as ``'predictions'``.
        unit: Unit of the metric.
        step: Width of the boxes, for a metric that is not an integer: a box covers the values up to
            half a step away from it.

    Raises:
        ValueError: If there are no pairs.
    """
    measured = quality_of(kinds)
    # Without pyplot, which would choose a backend for the whole process.
    figure = Figure(figsize=(4.2 * len(measured), 4), layout='constrained')
    axes = figure.subplots(1, len(measured), squeeze=False)[0]
    for ax, (name, quality) in zip(axes, measured.items()):
        estimates, values = map(np.asarray, kinds[name])
        values = np.rint(values / step) * step if step else values
        steps = np.unique(values)
        top = max(estimates.max(), values.max()) * 1.05 + (step or 0.1)
        ax.plot([0, top], [0, top], color='0.6', linewidth=1, label='e_hat = e')
        ax.boxplot(
            [estimates[values == value] for value in steps],
            positions=steps,
            widths=0.6 * (np.diff(steps).min() if len(steps) > 1 else 1),
            whis=(5, 95),
            sym='',
            manage_ticks=False,
        )
        for i, value in enumerate(steps):  # in two rows: large numbers are wider than a step
            ax.annotate(
                f'{(values == value).sum()}',
                (value, 0),
                (0, -22 - 8 * (i % 2)),
                textcoords='offset points',
                annotation_clip=False,
                ha='center',
                fontsize=7,
                color='0.4',
            )
        correlation = quality['rank_correlation']
        correlated = '' if correlation is None else f', rank correlation {correlation:.2f}'
        ax.set_title(
            f'{len(values)} {name}\nmean error {quality["error"]:.3f} {unit}{correlated}',
            fontsize=9,
        )
        ax.set_ylim(0, top)
        ax.grid(alpha=0.3)
    figure.supxlabel(f'e, true {unit}', fontsize=9)
    figure.supylabel('e_hat, estimated', fontsize=9)
    return figure


def quality_of(kinds: Mapping[str, Pairs]) -> dict[str, dict[str, float | None]]:
    """Return, by kind, ``num``, ``error`` (the mean of ``|e_hat - e|``) and ``rank_correlation``.

    Raises:
        ValueError: If there are no pairs.
    """
    kinds = {name: pairs for name, pairs in kinds.items() if len(pairs[1])}
    if not kinds:
        raise ValueError('kinds must hold pairs of estimates and values, got none')
    return {
        name: dict(
            num=len(values),
            error=approximation_error(np.asarray(estimates), np.asarray(values)),
            rank_correlation=rank_correlation(
                np.asarray(estimates).tolist(), np.asarray(values).tolist()
            ),
        )
        for name, (estimates, values) in kinds.items()
    }


def plot_quality(
    kinds: Mapping[str, Pairs],
    out_file: str,
    unit: str = 'edits',
    step: float = 0,
    font: str | None = None,
) -> dict[str, dict[str, float | None]]:
    """Write the picture of :func:`quality_figure`.

    Args:
        kinds, unit, step: See :func:`quality_figure`.
        out_file: PNG, or another format that matplotlib writes.
        font: For the texts, see :func:`~mmocr_da.visualization.pictures.save_picture`.

    Returns:
        See :func:`quality_of`.

    Raises:
        ValueError: If there are no pairs.
    """
    save_picture(quality_figure(kinds, unit, step), out_file, 'plot_quality', font)
    return quality_of(kinds)
