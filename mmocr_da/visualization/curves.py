"""Training curves of one or several runs, each with its name at its end."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .colors import COLORS

#: Values by the name of the scalar and the step.
Scalars = Mapping[str, Mapping[int, float]]
#: Pattern of the names of the scalars of a panel, by its title.
PANELS = {
    'loss': r'^loss',
    'lambda and weights': r'^(?!health/).*_(lambda|weight)$',
    'gate pass rate': r'_gate_(source|target)$',
    'discriminator accuracy': r'_acc_(source|target)$',
    'A-distance': r'^health/.*a_distance$',
    'gradient ratio': r'^health/.*/gradient_ratio$',
    'share of words kept': r'_kept$',
    'confidence of words': r'_(confidence|threshold)$',
    'share of gates': r'^(bin_)?gates_(below|above)_',
    'CER': r'(^|/)cer$',
    'WER': r'(^|/)wer$',
}
#: Width and height of a panel in inches, without the names of its lines.
PANEL = 3.6, 3.0
#: Size of the names in points, and the least distance of two.
SIZE, SMALLEST = 8.0, 5.0
STYLES = ('-', '--', ':', '-.')


def curves_figure(
    runs: Mapping[str, Scalars], only: str = '', panels: Mapping[str, str] = PANELS
) -> Figure:
    """Draw a panel for each kind of scalars that a run has.

    With several runs, the colour stands for the run and the line style for the scalar.

    Args:
        runs: ``{name of the scalar: {step: value}}`` by the name of the run.
        only: Regular expression for the names of scalars.
        panels: Pattern of the names of the scalars of a panel, by its title.

    Raises:
        ValueError: If no run has scalars to draw.
    """
    runs = {run: _finite(scalars) for run, scalars in runs.items()}
    found = scalars_of(runs.values(), only, panels)
    if not found:
        raise ValueError(
            f'runs must have logged one of {", ".join(panels)}, got none in {", ".join(runs)}'
        )
    columns = min(len(found), 3)
    rows = -(-len(found) // columns)
    several = len(runs) > 1
    longest = max(
        len(_label(run, name, names, several))
        for names in found.values()
        for name in names
        for run in runs
    )
    # Without pyplot, which would choose a backend for the whole process.
    width = PANEL[0] + 0.6 * SIZE / 72 * longest
    figure = Figure(figsize=(width * columns, PANEL[1] * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (title, names) in zip(axes, found.items()):
        lines = {}
        for i, (run, scalars) in enumerate(runs.items()):
            for j, name in enumerate(names):
                if scalars.get(name):
                    line = _draw_line(ax, scalars[name], *((i, j) if several else (j, 0)))
                    lines[_label(run, name, names, several)] = line
        ax.set_title(f'{title}: {names[0]}' if several and len(names) == 1 else title, fontsize=10)
        ax.set_xlabel('iteration', fontsize=9)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.3)
        ax.spines[['top', 'right']].set_visible(False)
        ax.margins(x=0)
        _name_lines(ax, lines)
    for ax in axes[len(found) :]:
        ax.axis('off')
    return figure


def scalars_of(
    runs: Iterable[Scalars], only: str = '', panels: Mapping[str, str] = PANELS
) -> dict[str, list[str]]:
    """Return the names of the scalars that a run has numbers of, by the title of their panel.

    >>> scalars_of([{'loss': {1: 2.0}, 'time': {1: 1.0}}])
    {'loss': ['loss']}
    """
    names = {name for scalars in runs for name, values in _finite(scalars).items() if values}
    found = {
        title: sorted(n for n in names if re.search(pattern, n) and re.search(only, n))
        for title, pattern in panels.items()
    }
    return {title: names for title, names in found.items() if names}


def _finite(scalars: Scalars) -> dict[str, dict[int, float]]:
    """The values that have a place, as a validation without a prediction has none."""
    return {
        name: {step: value for step, value in values.items() if math.isfinite(value)}
        for name, values in scalars.items()
    }


def _label(run: str, name: str, names: Sequence[str], several: bool) -> str:
    if not several:
        return name
    return run if len(names) == 1 else f'{run}: {name}'


def _draw_line(ax: Axes, values: Mapping[int, float], color: int, style: int) -> Line2D:
    steps, heights = zip(*sorted(values.items()))
    (line,) = ax.plot(
        steps,
        heights,
        color=COLORS[color % len(COLORS)],
        linestyle=STYLES[style % len(STYLES)],
        linewidth=1.3,
        # A single validation is a point, and a line would not show it.
        marker='.' if len(steps) < 30 else None,
    )
    return line


def _name_lines(ax: Axes, lines: Mapping[str, Line2D]) -> None:
    """Write the name of each line beside its end, outside of the axes."""
    size = max(SMALLEST, min(SIZE, 0.7 * PANEL[1] * 72 / len(lines) / 1.25))
    low, high = ax.get_ylim()
    ends = {name: _end(line) for name, line in lines.items()}
    heights = {name: (y - low) / (high - low) for name, (_, y) in ends.items()}
    order = sorted(heights, key=lambda name: heights[name])
    gap = 1.25 * size / (0.75 * PANEL[1] * 72)
    places = spread([heights[name] for name in order], gap)
    for name, place in zip(order, places):
        color = lines[name].get_color()
        ax.annotate(
            name,
            ends[name],
            (1.06, place),
            textcoords='axes fraction',
            va='center',
            color=color,
            size=size,
            annotation_clip=False,
            parse_math=False,
            arrowprops=dict(
                arrowstyle='-',
                color=color,
                linewidth=0.6,
                alpha=0.6,
                linestyle=lines[name].get_linestyle(),
                shrinkA=1,
                shrinkB=0,
            ),
        )


def _end(line: Line2D) -> tuple[float, float]:
    x, y = np.asarray(line.get_xydata(), float)[-1]
    return float(x), float(y)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move sorted places apart until neighbours have a distance of ``gap``, and as little as that.

    They stay in order. If all fit between 0 and 1, they do.

    >>> spread([0.25, 0.25, 0.75], 0.25), spread([0.75, 1.0, 1.0], 0.25)
    ([0.125, 0.375, 0.75], [0.5, 0.75, 1.0])
    """
    groups: list[tuple[float, int]] = []  # middle and number of places that touch each other
    for place in places:
        middle, num = place, 1
        while groups and middle - groups[-1][0] < gap * (num + groups[-1][1]) / 2:
            before, others = groups.pop()
            middle = (middle * num + before * others) / (num + others)
            num += others
            half = gap * (num - 1) / 2
            middle = min(max(middle, half), 1 - half) if half <= 0.5 else 0.5
        groups.append((middle, num))
    return [middle + gap * (i - (num - 1) / 2) for middle, num in groups for i in range(num)]
