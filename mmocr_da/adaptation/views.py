"""Draws what the recognizer sees of both domains."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmocr_da.datasets import TwoDomainDataset
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.visualization import save_picture

Image = NDArray[np.uint8]
#: Draws of each augmented image.
DRAWS = 2


class Column(NamedTuple):
    """A column of a sheet: its title, and images or texts."""

    title: str
    cells: list[Image | str]


def draw_views(
    dataset: TwoDomainDataset, out_file: Path, by: str, num: int = 8, seed: int = 0
) -> None:
    """Save a sheet of source images with labels, and of weak and strong views of target images.

    Args:
        dataset: Of a training by self-training.
        out_file: The picture.
        by: The writer, see :mod:`mmocr_da.outputs`.
        num: Images of each domain.
        seed: Which images and which augmentations are drawn.
    """
    columns = [*source_columns(dataset, num, seed), *target_columns(dataset, num, seed)]
    rows = max(len(column.cells) for column in columns)
    figure = Figure(figsize=(2.0 * len(columns), 0.72 * rows + 0.4))
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for column, (title, cells) in zip(axes.T, columns):
        column[0].set_title(title, fontsize=9)
        for axis, cell in zip(column, cells):
            if isinstance(cell, str):
                axis.text(0.98, 0.5, cell, ha='right', va='center', parse_math=False)
            else:
                axis.imshow(cell, vmin=0, vmax=255)
    figure.set_layout_engine('tight', pad=0.3)
    save_picture(figure, str(out_file), by)


def source_columns(dataset: TwoDomainDataset, num: int, seed: int = 0) -> list[Column]:
    """Labels and several draws of source images; nothing without a source."""
    chosen = _chosen(0, dataset.domain_sizes[0], num, seed)
    if not chosen:
        return []
    draws = [[_draw(dataset, i, seed, draw) for i in chosen] for draw in range(DRAWS)]
    labels: list[Image | str] = [item['data_samples'].gt_text.item for item in draws[0]]
    images = [[_rgb(item['inputs']) for item in items] for items in draws]
    return [
        Column('source: label', labels),
        *(Column(f'draw {i}', list(cells)) for i, cells in enumerate(images, 1)),
    ]


def target_columns(dataset: TwoDomainDataset, num: int, seed: int = 0) -> list[Column]:
    """What the teacher and, in several draws, the student see of target images."""
    chosen = _chosen(*dataset.domain_sizes, num, seed)
    draws = [[_draw(dataset, i, seed, draw) for i in chosen] for draw in range(DRAWS)]
    weak: list[Image | str] = [_rgb(item['data_samples'].weak_view.image) for item in draws[0]]
    strong = [[_rgb(item['inputs']) for item in items] for items in draws]
    return [
        Column('target: teacher', weak),
        *(Column(f'student, draw {i}', list(cells)) for i, cells in enumerate(strong, 1)),
    ]


def _draw(dataset: TwoDomainDataset, index: int, seed: int, draw: int) -> Any:
    state = np.random.SeedSequence([seed, index, draw]).generate_state(1)
    return dataset[Draw(index, int(state[0]))]


def _chosen(first: int, size: int, num: int, seed: int) -> list[int]:
    order = np.random.default_rng(seed).permutation(size)[:num]
    return [first + int(i) for i in order]


def _rgb(image: Any) -> Image:
    """An image ``(C, H, W)`` in BGR or grey as RGB ``(H, W, 3)``."""
    image = np.asarray(image).transpose(1, 2, 0)[..., ::-1]
    return np.broadcast_to(image, (*image.shape[:2], 3)).clip(0, 255).astype(np.uint8)
