"""Draw a sheet of training images with their augmented views.

    python tools/analysis_tools/browse_views.py CONFIG --out views.png

It writes one picture, ``--out``. The images are drawn at random from the config's
``train_dataloader``. The first column shows each image as it enters ``MultiView``, the others show
pairs of views. In both views of a pair, the same place should show the same part of the image.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import matplotlib

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmocr.registry import DATASETS
from mmocr.utils import register_all_modules
from torch import Tensor

from mmocr_da.datasets import MultiView
from mmocr_da.datasets.image_loading import load_as_shown
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.engine.launch import load_config
from mmocr_da.rng import seeded
from mmocr_da.visualization import add_picture_arguments, check_picture, save_picture

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  the backend comes first


class Row(NamedTuple):
    """An image before its augmentation, and its views; all RGB, ``(H, W, 3)``."""

    image: np.ndarray
    views: list[list[np.ndarray]]


def draw_views(cfg: Config, num: int, pairs: int = 3, seed: int = 0) -> list[Row]:
    """Return ``num`` random training images with ``pairs`` pairs of views of each.

    A seed fixes the images and the views.

    Raises:
        ValueError: If the dataset has no ``MultiView`` in its pipeline.
    """
    for name, value in (('num', num), ('pairs', pairs)):
        if value < 1:
            raise ValueError(f'{name} must be at least 1, got {value}')
    register_all_modules(init_default_scope=True)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    load_as_shown(dataset)
    transforms = [transform for pipeline in _pipelines(dataset) for transform in pipeline]
    multi_views = [transform for transform in transforms if isinstance(transform, MultiView)]
    if not multi_views:
        names = sorted({type(transform).__name__ for transform in transforms})
        raise ValueError(
            'the dataset of train_dataloader must have a mmocr_da.MultiView in its '
            f'pipeline, got {", ".join(names) or "no transforms"}'
        )
    entered = []
    for multi_view in multi_views:
        _note_images(multi_view, entered)
    rows = []
    for i in np.random.default_rng(seed).permutation(len(dataset))[:num]:
        views = []
        for pair in range(pairs):
            draw = int(np.random.SeedSequence([seed, int(i), pair]).generate_state(1)[0])
            # A dataset that is no SeededDataset ignores the seed of a draw.
            with seeded(draw):
                item = dataset[Draw(int(i), draw)]
            views.append([_rgb(view) for view in item['inputs']])
        rows.append(Row(_rgb(entered[-1]), views))
    return rows


def _pipelines(dataset: BaseDataset) -> Iterator[list]:
    """Yield the transforms of a dataset and of its parts."""
    if hasattr(dataset, 'pipeline'):
        yield dataset.pipeline.transforms
    parts = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for part in parts:
        if part is not None:
            yield from _pipelines(part)


def _note_images(multi_view: MultiView, images: list) -> None:
    """Make a ``MultiView`` append the images that it gets to ``images``."""
    transform = multi_view.transform

    def noting(results: dict) -> dict:
        images.append(results['img'].copy())
        return transform(results)

    multi_view.transform = noting


def _rgb(image) -> np.ndarray:
    """Convert an image ``(H, W[, C])`` or a tensor ``(C, H, W)``, in BGR, to RGB ``(H, W, 3)``."""
    if isinstance(image, Tensor):
        image = image.permute(1, 2, 0).numpy()
    image = image.reshape(*image.shape[:2], -1)[..., ::-1]
    return np.broadcast_to(image, (*image.shape[:2], 3))


def views_sheet(rows: list[Row], out_file: str, font: str | None = None) -> None:
    """Draw one row per image, the image and its views, and save the picture."""
    num_views = len(rows[0].views[0])
    heads = ['image'] + [f'view {v + 1}' for _ in rows[0].views for v in range(num_views)]
    # An empty narrow column separates the pairs.
    ratios = [1.0] + ([0.1] + [1.0] * num_views) * len(rows[0].views)
    fig, axes = plt.subplots(
        len(rows),
        len(ratios),
        squeeze=False,
        figsize=(1.8 * sum(ratios), 0.65 * len(rows) + 0.3),
        gridspec_kw=dict(width_ratios=ratios),
    )
    for ax in axes.flat:
        ax.axis('off')
    filled = [i for i, ratio in enumerate(ratios) if ratio == 1]
    for line, row in zip(axes, rows):
        for i, image in zip(filled, [row.image, *(view for pair in row.views for view in pair)]):
            line[i].imshow(image, vmin=0, vmax=255)
    for i, head in zip(filled, heads):
        axes[0, i].set_title(head, fontsize=9)
    fig.set_layout_engine('tight', pad=0.3)
    save_picture(fig, out_file, 'views_sheet', font)
    plt.close(fig)


def main():
    parser = argparse.ArgumentParser(description='Draw a sheet of the views of training images')
    parser.add_argument('config')
    parser.add_argument('--num', type=int, default=8, help='Number of images')
    parser.add_argument('--pairs', type=int, default=3, help='Draws per image')
    parser.add_argument('--seed', type=int, default=0, help='Which images and views are drawn')
    add_picture_arguments(parser, 'views.png')
    args = parser.parse_args()
    check_picture(args.out, 'views_sheet', [args.config], args.font)
    rows = draw_views(load_config(args.config), args.num, args.pairs, args.seed)
    views_sheet(rows, args.out, args.font)
    print(args.out)


if __name__ == '__main__':
    main()
