"""A sheet of training images with their augmented views (SeqCLR, fig. 3)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

#: Lines between windows: one of two colours is visible on any image.
LINES = ('black', '#f0e442')


class ViewsOfImage(NamedTuple):
    """An image and its views; all RGB, ``(H, W, 3)``.

    Attributes:
        image: The image before its augmentation.
        views: The views of each draw.
        valid: The share of the width of each view that is not padding; None if there is no padding.
    """

    image: NDArray[Any]
    views: Sequence[Sequence[NDArray[Any]]]
    valid: Sequence[Sequence[float]] | None = None


def views_figure(rows: Sequence[ViewsOfImage], windows: int = 1) -> Figure:
    """Draw one row per image: the image and the views of each draw.

    Args:
        rows: Images with equal numbers of draws and views.
        windows: Number of windows that :class:`WindowToInstance` divides a view into, whose means
            are the instances of a contrastive loss; lines are drawn between them. They are evenly
            spread over what is not padding. The windows of a model begin and end with its frames.

    Raises:
        ValueError: If there is no image.
    """
    if not rows:
        raise ValueError('rows must have at least one image, got none')
    num_views = len(rows[0].views[0])
    heads = ['image'] + [f'view {v + 1}' for _ in rows[0].views for v in range(num_views)]
    # An empty narrow column separates the draws.
    ratios = [1.0] + ([0.1] + [1.0] * num_views) * len(rows[0].views)
    # Without pyplot, which would choose a backend for the whole process.
    figure = Figure(figsize=(1.8 * sum(ratios), 0.65 * len(rows) + 0.3))
    axes = figure.subplots(len(rows), len(ratios), squeeze=False, width_ratios=ratios)
    for ax in axes.flat:
        ax.axis('off')
    filled = [i for i, ratio in enumerate(ratios) if ratio == 1]
    for line, row in zip(axes, rows):
        for i, image in zip(filled, [row.image, *(view for draw in row.views for view in draw)]):
            line[i].imshow(image, vmin=0, vmax=255)
        shares = [1.0] * (len(filled) - 1)
        if row.valid is not None:
            shares = [share for draw in row.valid for share in draw]
        for i, share in zip(filled[1:], shares):
            _draw_windows(line[i], windows, share)
    for i, head in zip(filled, heads):
        axes[0, i].set_title(head, fontsize=9)
    figure.set_layout_engine('tight', pad=0.3)
    return figure


def _draw_windows(ax: Axes, windows: int, share: float) -> None:
    (width, height) = ax.images[0].get_size()[::-1]
    for place in np.arange(1, windows) / windows * share * width - 0.5:
        ax.plot([place] * 2, [-0.5, height - 0.5], color=LINES[0], linewidth=1.6)
        ax.plot([place] * 2, [-0.5, height - 0.5], color=LINES[1], linewidth=0.8)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
