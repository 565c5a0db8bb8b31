"""Draw which characters a recognizer takes for which, before and after an adaptation.

    python tools/analysis_tools/confusion_matrix.py CONFIG CHECKPOINT --before BEFORE.pth
    python tools/analysis_tools/confusion_matrix.py PREDICTIONS.pkl --before BEFORE.pkl

It writes one picture, ``--out``, and prints the most frequent confusions. Labels and predictions
are aligned by their edit distance; the sign of the empty set stands for a character that is not
there: in a column for one that was left out, in a row for one that was inserted.

The images must have labels. With a config and a checkpoint, they are ``--num`` random ones of the
last dataset of ``test_dataloader``, the target, if the datasets are source and target, and the
models are those that an export gives. ``PREDICTIONS.pkl`` is a file of ``tools/test.py
--save-preds``.
"""

import argparse
from collections.abc import Sequence
from functools import partial

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmocr_da.engine.inference import item_pipeline, predict
from mmocr_da.engine.launch import load_config
from mmocr_da.engine.samples import draw_samples
from mmocr_da.evaluation import CharacterConfusions, normalize
from mmocr_da.evaluation.comparison import add_comparison_arguments, comparison_options
from mmocr_da.evaluation.confusions import shown
from mmocr_da.evaluation.prediction_files import check_same_images, read_predictions
from mmocr_da.export import load_plain
from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    confusion_figure,
    report_picture,
    save_picture,
)

#: Texts by the name of the model, and the labels.
Texts = tuple[dict[str, Sequence[str]], Sequence[str]]


def from_files(file: str, before: str | None, only: str) -> Texts:
    """Read the predictions of one or two files, for the images that have labels."""
    paths, predictions, labels = read_predictions(file, only)
    models = {'after' if before else 'model': predictions.texts}
    if before:
        others, earlier, _ = read_predictions(before, only)
        check_same_images(others, paths)
        models = {'before': earlier.texts, **models}
    kept = [i for i, label in enumerate(labels) if label]
    if not kept:
        raise ValueError(f'the images must have labels, got none in {file}')
    return (
        {name: [texts[i] for i in kept] for name, texts in models.items()},
        [str(labels[i]) for i in kept],
    )


def from_checkpoints(args: argparse.Namespace) -> Texts:
    """Predict test images with one or two checkpoints."""
    cfg = load_config(args.model[0])
    items, labels = draw_samples(cfg, args.num, args.seed, args.dataset)
    kept = [i for i, label in enumerate(labels) if label]
    items, labels = [items[i] for i in kept], [labels[i] for i in kept]
    models = {}
    if args.before:
        before = load_config(args.before_config) if args.before_config else cfg
        models['before'] = (before, args.before)
    models['after' if args.before else 'model'] = (cfg, args.model[1])
    return {
        name: [
            sample.pred_text.item
            for sample in predict(
                load_plain(config, checkpoint, args.device), item_pipeline(config, items), items
            )
        ]
        for name, (config, checkpoint) in models.items()
    }, labels


def main() -> None:
    """Draw the picture, and print the most frequent confusions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'model',
        nargs='+',
        metavar='CONFIG CHECKPOINT | PREDICTIONS.pkl',
        help='A recognizer, or the predictions of one',
    )
    parser.add_argument('--before', help='A checkpoint, or predictions, from before the adaptation')
    parser.add_argument('--before-config', help='Its config, if that is another one')
    parser.add_argument('--num', type=int, default=1000, help='Number of test images')
    parser.add_argument('--seed', type=int, default=0, help='Which test images are drawn')
    parser.add_argument('--dataset', type=int, default=-1, help='Index of the test dataset')
    parser.add_argument('--only', default='', help='Of a file: images with this in their paths')
    parser.add_argument('--classes', type=int, default=36, help='Number of characters of a matrix')
    parser.add_argument('--bars', type=int, default=20, help='Number of confusions to list')
    add_comparison_arguments(parser)
    parser.add_argument('--device', default='cpu')
    add_picture_arguments(parser, 'confusions.png')
    args = parser.parse_args()
    if len(args.model) > 2:
        parser.error(f'a config and a checkpoint, or one file, are needed, got {len(args.model)}')
    given = [*args.model, args.before, args.before_config]
    check_picture(args.out, 'confusion_matrix', given, args.font, args.tensorboard)
    if len(args.model) == 1:
        models, labels = from_files(args.model[0], args.before, args.only)
    else:
        models, labels = from_checkpoints(args)
    compared = partial(normalize, **comparison_options(args))
    labels = list(map(compared, labels))
    confusions = {
        name: CharacterConfusions(list(map(compared, texts)), labels)
        for name, texts in models.items()
    }
    figure = confusion_figure(confusions, args.classes, args.bars)
    save_picture(figure, args.out, 'confusion_matrix', args.font)
    for name, found in confusions.items():
        print(f'{name}: {found.errors} errors at {found.num_characters} characters')
        for label, predicted, count in found.most_frequent(args.bars):
            print(f'  {shown(label)} -> {shown(predicted)}: {count}')
    report_picture(args, 'confusions')


if __name__ == '__main__':
    main()
