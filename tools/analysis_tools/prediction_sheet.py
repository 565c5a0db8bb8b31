"""Draw a sheet of test images with the predictions of several models.

    python tools/analysis_tools/prediction_sheet.py --out sheet.png \\
        --model "source only" CONFIG CHECKPOINT --model adapted CONFIG CHECKPOINT

It writes one picture, ``--out``: each image with its ground truth and the text of every model.
Right predictions are green, wrong ones red. The images are drawn at random, by ``--seed``, from the
last dataset of the first config's ``test_dataloader`` (the target, if the datasets are source and
target).
"""

import argparse
from collections.abc import Sequence
from functools import partial

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import Config

from mmocr_da.engine.inference import predict_images
from mmocr_da.engine.launch import load_config
from mmocr_da.engine.samples import Item, draw_samples, load_pictures
from mmocr_da.evaluation import normalize
from mmocr_da.evaluation.comparison import add_comparison_arguments, comparison_options
from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    prediction_sheet,
    report_picture,
)


def read_images(
    cfg: Config, checkpoint: str, items: Sequence[Item], device: str = 'cpu'
) -> list[str]:
    """Return a recognizer's prediction for each item."""
    return [s.pred_text.item for s in predict_images(cfg, checkpoint, items, device)]


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
    add_comparison_arguments(parser)
    parser.add_argument('--device', default='cpu')
    add_picture_arguments(parser, 'sheet.png')
    args = parser.parse_args()
    names = [name for name, _, _ in args.model]
    if len({*names}) < len(names):
        parser.error(f'each --model needs a different name, got {", ".join(names)}')
    given = [path for _, *paths in args.model for path in paths]
    check_picture(args.out, 'prediction_sheet', given, args.font, args.tensorboard)
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
        partial(normalize, **comparison_options(args)),
        args.font,
    )
    report_picture(args, 'predictions')
    print(*(f'{name}: {n}/{len(images)} right' for name, n in counts.items()), sep='\n')


if __name__ == '__main__':
    main()
