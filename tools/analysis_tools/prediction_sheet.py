"""Draw a sheet of test images with the predictions of several models.

    python tools/analysis_tools/prediction_sheet.py --out sheet.png \\
        --model "source only" CONFIG CHECKPOINT --model adapted CONFIG CHECKPOINT

It writes one picture, ``--out``: each image with its ground truth and the text of every model.
Right predictions are green, wrong ones red. The images are drawn at random, by ``--seed``, from the
last dataset of the first config's ``test_dataloader`` (the target, if the datasets are source and
target).
"""

import argparse
import copy
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.config import Config
from mmocr.utils import register_all_modules

from mmocr_da.arguments import check_count
from mmocr_da.datasets.building import build_dataset
from mmocr_da.datasets.image_loading import LoadImageFromFile, load_as_shown
from mmocr_da.datasets.lmdb_files import database_of
from mmocr_da.datasets.notes import collect_notes
from mmocr_da.engine.inference import predict_images
from mmocr_da.engine.launch import load_config
from mmocr_da.evaluation import normalize
from mmocr_da.visualization import add_picture_arguments, check_picture, prediction_sheet

#: An item of a dataset: 'img_path', 'instances', and with an LMDB 'content' and 'color_type'.
Item = dict[str, object]


def draw_samples(
    cfg: Config, num: int, seed: int = 0, dataset: int = -1
) -> tuple[list[Item], list[str]]:
    """Draw ``num`` random items of one dataset of ``test_dataloader``, by a seed.

    Returns:
        The items, and the text of each (its ground truth).

    Raises:
        ValueError: If there is no dataset of this index, or if its images have no labels.
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
    """Return the config of a dataset without pipelines, also in its parts."""
    dataset = copy.deepcopy(dict(dataset))
    if 'datasets' in dataset:
        dataset['datasets'] = [without_pipelines(part) for part in dataset['datasets']]
    elif isinstance(dataset.get('dataset'), dict):
        dataset['dataset'] = without_pipelines(dataset['dataset'])
    else:
        # In test mode an image that cannot be read is an error; else another one would replace it.
        return dict(dataset, pipeline=[], test_mode=True)
    dataset.pop('pipeline', None)
    return dataset


def read_images(
    cfg: Config, checkpoint: str, items: Sequence[Item], device: str = 'cpu'
) -> list[str]:
    """Return a recognizer's prediction for each item."""
    return [s.pred_text.item for s in predict_images(cfg, checkpoint, items, device)]


def load_pictures(items: Sequence[Item]) -> list[np.ndarray]:
    """Return the RGB images of items; print which of them are blank or had to be converted."""
    loader = LoadImageFromFile()
    with collect_notes() as notes:
        pictures = [loader(dict(item))['img'][..., ::-1] for item in items]
    named = defaultdict(list)
    for kind, path in notes:
        named[kind].append(path)
    for kind, paths in named.items():
        print(f'{len(paths)} of {len(items)} {kind}: {", ".join(paths)}')
    return pictures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--model',
        nargs=3,
        action='append',
        required=True,
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help='A model, may be repeated',
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
        parser.error(f'each --model needs a different name, got {", ".join(names)}')
    given = [path for _, *paths in args.model for path in paths]
    check_picture(args.out, 'prediction_sheet', given, args.font)
    configs = {name: load_config(config) for name, config, _ in args.model}
    items, ground_truths = draw_samples(
        configs[args.model[0][0]], args.num, args.seed, args.dataset
    )
    images = load_pictures(items)
    predictions = {
        name: read_images(configs[name], checkpoint, items, args.device)
        for name, _, checkpoint in args.model
    }
    counts = prediction_sheet(
        images,
        ground_truths,
        predictions,
        args.out,
        partial(normalize, ignore_case=args.ignore_case, ignore_symbols=args.ignore_symbols),
        args.font,
    )
    print(args.out, *(f'{name}: {n}/{len(images)} right' for name, n in counts.items()), sep='\n')


if __name__ == '__main__':
    main()
