"""Draw a sheet of images with what several models read, right readings green, wrong ones red.

    python tools/analysis_tools/reading_sheet.py --out sheet.png \\
        --model "source only" CONFIG CHECKPOINT --model adapted CONFIG CHECKPOINT

The images are drawn at random from the last dataset of the first config's ``test_dataloader``
(the target, where the datasets are source and target): nobody picked the ones that look good.
"""

import argparse
import copy
from collections import defaultdict
from collections.abc import Sequence

import matplotlib

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.registry import MODELS
from mmocr.utils import register_all_modules

from mmocr_da.arguments import check_count
from mmocr_da.datasets.lmdb_files import database_of
from mmocr_da.datasets.loading import LoadImageFromFile, load_as_shown, shown_pipeline
from mmocr_da.datasets.notes import collect_notes
from mmocr_da.datasets.plain_datasets import build_dataset
from mmocr_da.engine.export import select_weights
from mmocr_da.engine.export_check import test_pipeline
from mmocr_da.engine.launch import check_checkpoint, check_finite, load_config
from mmocr_da.evaluation import normalize
from mmocr_da.visualization import add_picture_arguments, check_picture, save_picture

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  the backend comes first

#: What a dataset lists: 'img_path', 'instances', and of an LMDB 'content' and 'color_type'.
Item = dict[str, object]

RIGHT, WRONG = '#1a7f37', '#cf222e'


def draw_samples(
    cfg: Config, num: int, seed: int = 0, dataset: int = -1
) -> tuple[list[Item], list[str]]:
    """Return ``num`` random items of one dataset of ``test_dataloader``, and their texts.

    The same seed draws the same items.
    """
    register_all_modules(init_default_scope=True)
    check_count('num', num)
    dataset_cfg = cfg.test_dataloader.dataset
    parts = dataset_cfg.get('datasets')
    if parts is not None:
        if not -len(parts) <= dataset < len(parts):
            raise ValueError(
                f'dataset must be the index of one of the {len(parts)} test datasets, '
                f'0 to {len(parts) - 1}, got {dataset}'
            )
        dataset_cfg = parts[dataset]
    built = build_dataset(without_pipelines(dataset_cfg))
    load_as_shown(built)
    chosen = np.random.default_rng(seed).permutation(len(built))[:num]
    items = [built[int(i)] for i in sorted(chosen)]
    database = database_of(built)
    if database is not None:
        for item in items:
            item['color_type'] = database.color_type
    texts = [
        next((label['text'] for label in item.get('instances', ()) if 'text' in label), '')
        for item in items
    ]
    if not any(texts):
        raise ValueError(
            f'the test dataset must have labels, got none for {len(items)} images of '
            f'{dataset_cfg.get("type")}; choose another one by --dataset'
        )
    return items, texts


def without_pipelines(dataset: dict) -> dict:
    """A dataset, and all that it consists of, that gives its items as they are listed."""
    dataset = copy.deepcopy(dict(dataset))
    if 'datasets' in dataset:
        dataset['datasets'] = [without_pipelines(part) for part in dataset['datasets']]
    elif isinstance(dataset.get('dataset'), dict):
        dataset['dataset'] = without_pipelines(dataset['dataset'])
    else:
        # Not another one for an image that cannot be read.
        return dict(dataset, pipeline=[], test_mode=True)
    dataset.pop('pipeline', None)
    return dataset


@torch.no_grad()
def read_images(
    cfg: Config, checkpoint: str, items: Sequence[Item], device: str = 'cpu'
) -> list[str]:
    """Return what a recognizer reads on the image of each item, one at a time as MMOCR tests."""
    register_all_modules(init_default_scope=True)
    check_checkpoint(checkpoint, 'checkpoint')
    weights = select_weights(CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
    model = MODELS.build(cfg.model)
    check_finite(weights, model, checkpoint)
    model.load_state_dict(weights, strict=True)
    model.to(device).eval()
    # Where the pipeline expects an image from its dataset, one is loaded as that dataset would.
    color_type = items[0].get('color_type', 'color') if items else None
    pipeline = shown_pipeline(Compose(test_pipeline(cfg)), color_type)
    return [
        model.test_step(pseudo_collate([pipeline(copy.deepcopy(item))]))[0].pred_text.item
        for item in items
    ]


def load_pictures(items: Sequence[Item]) -> list[np.ndarray]:
    """Return the RGB images of items; print which of them show nothing, or not all they have."""
    loader = LoadImageFromFile()
    with collect_notes() as notes:
        pictures = [loader(dict(item))['img'][..., ::-1] for item in items]
    named = defaultdict(list)
    for kind, path in notes:
        named[kind].append(path)
    for kind, paths in named.items():
        print(f'{len(paths)} of {len(items)} {kind}: {", ".join(paths)}')
    return pictures


def reading_sheet(
    images: Sequence[np.ndarray],
    truths: Sequence[str],
    readings: dict[str, Sequence[str]],
    out_file: str,
    ignore_case: bool = False,
    ignore_symbols: bool = False,
    font: str | None = None,
) -> dict[str, int]:
    """Draw one row per image: the image, the truth, every model's reading.

    Args:
        images: N images, RGB.
        truths: Their N texts.
        readings: N readings by name of the model; the columns, in this order.

    Returns:
        Number of right readings by name of the model.
    """
    for name, texts in {'truths': truths, **readings}.items():
        if len(texts) != len(images):
            raise ValueError(
                f'{name} needs one text per image, got {len(texts)} texts for {len(images)} images'
            )

    def same(reading: str, truth: str) -> bool:
        return len({normalize(t, ignore_case, ignore_symbols) for t in (reading, truth)}) == 1

    right = {name: [same(r, t) for r, t in zip(texts, truths)] for name, texts in readings.items()}
    counts = {name: sum(marks) for name, marks in right.items()}
    columns = 2 + len(readings)
    fig, axes = plt.subplots(
        len(images) + 1, columns, squeeze=False, figsize=(2.6 * columns, 0.55 * (len(images) + 1))
    )
    for ax in axes.flat:
        ax.axis('off')
    heads = ['', 'truth', *(f'{name}\n{n}/{len(images)}' for name, n in counts.items())]
    for ax, head in zip(axes[0], heads):
        _write(ax, head, weight='bold')
    for i, (row, image) in enumerate(zip(axes[1:], images)):
        row[0].imshow(image, vmin=0, vmax=255)
        _write(row[1], truths[i])
        for ax, (name, texts) in zip(row[2:], readings.items()):
            # A mark beside the colour, for eyes that do not tell red from green.
            mark = '\u2713' if right[name][i] else '\u2717'
            _write(ax, f'{mark} {texts[i]}', color=RIGHT if right[name][i] else WRONG)
    fig.set_layout_engine('tight', pad=0.3)
    save_picture(fig, out_file, 'reading_sheet', font)
    plt.close(fig)
    return counts


def _write(ax, text: str, **kwargs) -> None:
    # parse_math: a word of a price list, '$5 $6', is a text and not a formula.
    ax.text(
        0.5, 0.5, text, ha='center', va='center', transform=ax.transAxes, parse_math=False, **kwargs
    )


def main():
    parser = argparse.ArgumentParser(description='Draw a sheet of readings of several models')
    parser.add_argument(
        '--model',
        nargs=3,
        action='append',
        required=True,
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help='A model, once per column',
    )
    parser.add_argument('--num', type=int, default=12, help='Number of images')
    parser.add_argument('--seed', type=int, default=0, help='Which images are drawn')
    parser.add_argument('--dataset', type=int, default=-1, help='Index of the test dataset')
    parser.add_argument('--ignore-case', action='store_true')
    parser.add_argument('--ignore-symbols', action='store_true')
    parser.add_argument('--device', default='cpu')
    add_picture_arguments(parser, 'sheet.png')
    args = parser.parse_args()
    names = [name for name, _, _ in args.model]
    if len({*names}) < len(names):
        parser.error(f'each --model needs a name of its own, got {", ".join(names)}')
    given = [path for _, *paths in args.model for path in paths]
    check_picture(args.out, 'reading_sheet', given, args.font)
    configs = {name: load_config(config) for name, config, _ in args.model}
    items, truths = draw_samples(configs[args.model[0][0]], args.num, args.seed, args.dataset)
    images = load_pictures(items)
    readings = {
        name: read_images(configs[name], checkpoint, items, args.device)
        for name, _, checkpoint in args.model
    }
    counts = reading_sheet(
        images, truths, readings, args.out, args.ignore_case, args.ignore_symbols, args.font
    )
    print(args.out, *(f'{name}: {n}/{len(images)} right' for name, n in counts.items()), sep='\n')


if __name__ == '__main__':
    main()
