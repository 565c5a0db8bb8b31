"""Draw a sheet of training images with their augmented views.

    python tools/analysis_tools/browse_views.py CONFIG --out views.png
    python tools/analysis_tools/browse_views.py CONFIG --strength 1.0

It writes one picture, ``--out``. The images are drawn at random from the config's
``train_dataloader``; with two domains, from the source.

* SeqCLR: the first column shows each image as it enters ``MultiView``, the others show pairs of
  views. In both views of a pair, the same place should show the same part of the image. Lines
  divide a view into the windows of ``WindowToInstance``: the loss compares the windows of one
  number, which should show the same characters.
* A recognizer: the first column shows each image as it enters ``TextAugmentation``, the others show
  what the model gets in several draws. The text should be readable in all of them. ``--strength``
  tries it in a config that has none, or with another strength.
"""

import argparse
from collections.abc import Iterator

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmocr.registry import DATASETS
from mmocr.utils import register_all_modules
from torch import Tensor

from mmocr_da.datasets import MultiView, TextAugmentation
from mmocr_da.datasets.image_loading import LoadImageFromFile, load_as_shown
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.engine.launch import load_config
from mmocr_da.models.valid_ratio import valid_ratios
from mmocr_da.registry import MODELS
from mmocr_da.rng import seeded
from mmocr_da.visualization import (
    ViewsOfImage,
    add_picture_arguments,
    check_picture,
    report_picture,
    save_picture,
    views_figure,
)


def draw_views(
    cfg: Config, num: int, pairs: int = 3, seed: int = 0, strength: float | None = None
) -> list[ViewsOfImage]:
    """Return ``num`` random training images with ``pairs`` draws of their views.

    A draw has as many views as ``MultiView`` makes, and one without it. A seed fixes the images and
    the views. With ``strength``, labelled images get a ``TextAugmentation`` of this strength after
    they are loaded, in place of the config's.

    Raises:
        ValueError: If the dataset has no ``MultiView`` or ``TextAugmentation`` in its pipeline.
    """
    for name, value in (('num', num), ('pairs', pairs)):
        if value < 1:
            raise ValueError(f'{name} must be at least 1, got {value}')
    register_all_modules(init_default_scope=True)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    load_as_shown(dataset)
    if strength is not None:
        _augment(dataset, TextAugmentation(strength))
    transforms = [transform for pipeline in _pipelines(dataset) for transform in pipeline]
    multi_views = [transform for transform in transforms if isinstance(transform, MultiView)]
    observed = multi_views or [t for t in transforms if isinstance(t, TextAugmentation)]
    if not observed:
        names = sorted({type(transform).__name__ for transform in transforms})
        raise ValueError(
            'the dataset of train_dataloader must have a mmocr_da.MultiView or a '
            'mmocr_da.TextAugmentation in its '
            f'pipeline, got {", ".join(names) or "no transforms"}; --strength 1.0 shows the latter '
            'in a config without it'
        )
    entered = []
    for transform in observed:
        _note_images(transform, entered)
    # Target images follow those of the source; they are shown if there is no source.
    size = getattr(dataset, 'domain_sizes', (0,))[0] or len(dataset)
    rows = []
    for i in np.random.default_rng(seed).permutation(size)[:num]:
        views, valid = [], []
        for pair in range(pairs):
            draw = int(np.random.SeedSequence([seed, int(i), pair]).generate_state(1)[0])
            # A dataset that is no SeededDataset ignores the seed of a draw.
            with seeded(draw):
                item = dataset[Draw(int(i), draw)]
            inputs, samples = (
                part if isinstance(part, list) else [part]
                for part in (item['inputs'], item['data_samples'])
            )
            views.append([_rgb(view) for view in inputs])
            valid.append(valid_ratios(samples).tolist())
        rows.append(ViewsOfImage(_rgb(entered[-1]), views, valid))
    return rows


def _pipelines(dataset: BaseDataset) -> Iterator[list]:
    """Yield the transforms of a dataset and of its parts."""
    if hasattr(dataset, 'pipeline'):
        yield dataset.pipeline.transforms
    parts = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for part in parts:
        if part is not None:
            yield from _pipelines(part)


def _augment(dataset: BaseDataset, augmentation: TextAugmentation) -> None:
    """Put an augmentation after what loads the images, or remove an earlier one for it."""
    if not hasattr(dataset, 'datasets') and hasattr(dataset, 'pipeline'):
        transforms = dataset.pipeline.transforms
        transforms[:] = [t for t in transforms if not isinstance(t, TextAugmentation)]
        loaders = [i for i, t in enumerate(transforms) if isinstance(t, LoadImageFromFile)]
        transforms.insert(loaders[0] + 1 if loaders else 0, augmentation)
        return
    parts = getattr(dataset, 'datasets', None) or [dataset.dataset]
    for part in parts[: getattr(dataset, 'num_source_datasets', 0) or None]:
        _augment(part, augmentation)


def _note_images(observed: MultiView | TextAugmentation, images: list) -> None:
    """Make a transform append the images that it gets to ``images``."""
    transform = observed.transform

    def noting(results: dict) -> dict:
        images.append(results['img'].copy())
        return transform(results)

    observed.transform = noting


def _rgb(image) -> np.ndarray:
    """Convert an image ``(H, W[, C])`` or a tensor ``(C, H, W)``, in BGR, to RGB ``(H, W, 3)``."""
    if isinstance(image, Tensor):
        image = image.permute(1, 2, 0).numpy()
    image = image.reshape(*image.shape[:2], -1)[..., ::-1]
    return np.broadcast_to(image, (*image.shape[:2], 3))


def views_sheet(
    rows: list[ViewsOfImage], out_file: str, font: str | None = None, windows: int = 1
) -> None:
    """Draw one row per image, the image and its views, and save the picture."""
    save_picture(views_figure(rows, windows), out_file, 'views_sheet', font)


def num_windows(cfg: Config) -> int:
    """Return the number of windows per view of a SeqCLR's ``WindowToInstance``; 1 without one."""
    mapping = (cfg.get('model') or {}).get('mapping')
    return 1 if mapping is None else getattr(MODELS.build(mapping), 'num_windows', 1)


def main():
    parser = argparse.ArgumentParser(description='Draw a sheet of the views of training images')
    parser.add_argument('config')
    parser.add_argument('--num', type=int, default=8, help='Number of images')
    parser.add_argument('--pairs', type=int, default=3, help='Draws per image')
    parser.add_argument('--seed', type=int, default=0, help='Which images and views are drawn')
    parser.add_argument('--strength', type=float, help='Of the TextAugmentation to try')
    add_picture_arguments(parser, 'views.png')
    args = parser.parse_args()
    check_picture(args.out, 'views_sheet', [args.config], args.font, args.tensorboard)
    cfg = load_config(args.config)
    rows = draw_views(cfg, args.num, args.pairs, args.seed, args.strength)
    views_sheet(rows, args.out, args.font, num_windows(cfg))
    report_picture(args, 'views')


if __name__ == '__main__':
    main()
