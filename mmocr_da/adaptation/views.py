"""Draws what the recognizer sees of both domains."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmocr_da.datasets import TwoDomainDataset
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.visualization import save_picture

Image = NDArray[np.uint8]
#: Draws of each augmented image.
DRAWS = 2


def draw_views(dataset: TwoDomainDataset, out_file: Path, by: str, num: int = 8, seed: int = 0):
    """Save a sheet of source images and of weak and strong views of target images.

    Args:
        dataset: Of a training by self-training.
        out_file: The picture.
        by: The writer, see :mod:`mmocr_da.outputs`.
        num: Images of each domain.
        seed: Which images and which augmentations are drawn.
    """
    columns = [*_source(dataset, num, seed), *_target(dataset, num, seed)]
    rows = max(len(images) for _, images in columns)
    figure = Figure(figsize=(2.2 * len(columns), 0.72 * rows + 0.4))
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for column, (title, images) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=9)
        for row, (image, text) in enumerate(images):
            axes[row, column].imshow(image, vmin=0, vmax=255)
            if text:
                axes[row, column].set_xlabel(text)
                axes[row, column].text(
                    0, 1.02, text, transform=axes[row, column].transAxes, fontsize=7,
                    parse_math=False,
                )  # fmt: skip
    figure.set_layout_engine('tight', pad=0.3)
    save_picture(figure, str(out_file), by)


def _source(dataset: TwoDomainDataset, num: int, seed: int) -> list[tuple[str, list]]:
    chosen = _chosen(0, dataset.domain_sizes[0], num, seed)
    columns = []
    for draw in range(DRAWS if chosen else 0):
        images = []
        for index in chosen:
            item = dataset[Draw(index, seed * DRAWS + draw)]
            images.append((_rgb(item['inputs']), item['data_samples'].gt_text.item))
        columns.append((f'source, draw {draw + 1}', images))
    return columns


def _target(dataset: TwoDomainDataset, num: int, seed: int) -> list[tuple[str, list]]:
    chosen = _chosen(*dataset.domain_sizes, num, seed)
    draws = [[dataset[Draw(i, seed * DRAWS + draw)] for i in chosen] for draw in range(DRAWS)]
    weak = [(_rgb(item['data_samples'].weak_view.image), '') for item in draws[0]]
    strong = [[(_rgb(item['inputs']), '') for item in items] for items in draws]
    titles = [f'target, student, draw {draw + 1}' for draw in range(DRAWS)]
    return [('target, teacher', weak), *zip(titles, strong)]


def _chosen(first: int, size: int, num: int, seed: int) -> list[int]:
    if not size:
        return []
    order = np.random.default_rng(seed).choice(size, min(num, size), replace=False)
    return [first + int(i) for i in order]


def _rgb(image: Any) -> Image:
    """An image ``(C, H, W)`` in BGR or grey as RGB ``(H, W, 3)``."""
    image = np.asarray(image).transpose(1, 2, 0)[..., ::-1]
    return np.broadcast_to(image, (*image.shape[:2], 3)).clip(0, 255).astype(np.uint8)
