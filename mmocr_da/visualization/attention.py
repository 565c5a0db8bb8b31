"""Pictures of where recognizers look for each character (ASSDA, fig. 7)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from .sheet import FAINT, INK, RIGHT, WRONG

#: From transparent to a colour that differs from grey for any kind of colour vision.
HEAT = LinearSegmentedColormap.from_list('heat', [(0.9, 0.35, 0, 0), (0.9, 0.35, 0, 0.7)])
#: Sizes in inches: width and height of a picture, and what is left for names.
PICTURE, NAMES = (1.05, 0.52), 0.75


class AttendedText(NamedTuple):
    """A predicted text, and where its characters were seen.

    Attributes:
        picture: ``(H, W)``, from 0 to 1, what the recognizer sees.
        characters: The T characters.
        maps: ``(T, H', W')``, the weights of places that are spread evenly over the picture.
    """

    picture: NDArray[Any]
    characters: Sequence[str]
    maps: NDArray[Any]

    @property
    def text(self) -> str:
        """The characters as a text."""
        return ''.join(self.characters)


def attention_figure(
    models: Mapping[str, Sequence[AttendedText]],
    ground_truths: Sequence[str] | None = None,
    max_characters: int = 12,
    normalized: Any = str,
) -> Figure:
    """Draw images with the weights of each character on them, a row per image and model.

    The weights of a character are relative to their maximum. They are interpolated between the
    places of the map, which is coarser than the picture.

    Args:
        models: Texts of the same images by the name of the model, such as ``'before'``.
        ground_truths: The texts of the images; None if they are not known.
        max_characters: Longer texts are cut.
        normalized: Brings a text into the form in which it is compared.

    Raises:
        ValueError: If there is no image, or if the numbers of images differ.
    """
    counts = {name: len(texts) for name, texts in models.items()}
    if ground_truths is not None:
        counts['ground_truths'] = len(ground_truths)
    if len({*counts.values()}) != 1 or not next(iter(counts.values())):
        raise ValueError(f'models must have texts of the same images, at least one, got {counts}')
    num = len(next(iter(models.values())))
    longest = max(len(found.characters) for texts in models.values() for found in texts)
    columns = 1 + min(max(longest, 1), max_characters)
    rows = num * len(models)
    # Without pyplot, which would choose a backend for the whole process.
    figure = Figure(
        figsize=(NAMES + PICTURE[0] * columns, 0.3 + (PICTURE[1] + 0.24) * rows),
        layout=ConstrainedLayoutEngine(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0),
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color='0.75', linewidth=0.6)
    lines = ((i, name) for i in range(num) for name in models)
    for row, (line, (i, name)) in enumerate(zip(axes, lines)):
        found = models[name][i]
        truth = None if ground_truths is None else ground_truths[i]
        _draw_whole(line[0], found, truth, normalized)
        beside = [name] if len(models) > 1 else []
        if truth is not None and row % len(models) == 0:
            beside.append(f'label {_cut(truth, 14)}')
        _write_beside(line[0], beside)
        for ax, char, weights in zip(line[1:], found.characters, found.maps):
            _draw_character(ax, found.picture, char, weights)
        for ax in line[1 + len(found.characters) :]:
            ax.axis('off')
        if len(found.characters) > max_characters:
            line[-1].text(1.02, 0.5, '\u2026', transform=line[-1].transAxes, va='center')
    return figure


def _draw_whole(ax: Axes, found: AttendedText, truth: str | None, normalized: Any) -> None:
    ax.imshow(found.picture, cmap='gray', vmin=0, vmax=1, aspect='auto')
    color, mark = INK, ''
    if truth is not None:
        right = normalized(truth) == normalized(found.text)
        color, mark = (RIGHT, '\u2713 ') if right else (WRONG, '\u2717 ')
    title = mark + (_cut(found.text, 24) or '(empty)')
    size = min(8.0, 72 * PICTURE[0] / (0.6 * len(title)))
    ax.set_title(title, color=color, size=size, pad=2, parse_math=False)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + '\u2026'


def _write_beside(ax: Axes, texts: Sequence[str]) -> None:
    for place, text, ink in zip((0.95, 0.45), texts, (FAINT, INK)):
        ax.text(
            -0.06,
            place,
            text,
            transform=ax.transAxes,
            ha='right',
            va='top',
            size=8,
            color=ink,
            parse_math=False,
        )


def _draw_character(ax: Axes, picture: NDArray[Any], char: str, weights: NDArray[Any]) -> None:
    ax.imshow(picture, cmap='gray', vmin=0, vmax=1, aspect='auto')
    height, width = picture.shape
    heat = cv2.resize(weights.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    ax.imshow(heat / max(heat.max(), 1e-12), cmap=HEAT, vmin=0, vmax=1, aspect='auto')
    ax.set_title(char, size=9, pad=2, parse_math=False)
