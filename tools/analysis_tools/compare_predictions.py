"""Compare the predictions of two recognizers on the same images, as a page with pictures.

    python tools/test.py CONFIG BEFORE.pth --work-dir before --save-preds
    python tools/test.py CONFIG AFTER.pth --work-dir after --save-preds
    python tools/analysis_tools/compare_predictions.py before/BEFORE.pth_predictions.pkl \\
        after/AFTER.pth_predictions.pkl --out-dir comparison

It writes ``adaptation.html``, one file that loads nothing: accuracies with 95 % intervals for
images with labels, numbers for images without, warnings, and images whose prediction changed.
"""

import argparse
import os.path as osp

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmocr_da.arguments import check_count
from mmocr_da.evaluation import PredictionChange
from mmocr_da.evaluation.comparison import add_comparison_arguments, comparison_options
from mmocr_da.evaluation.prediction_files import check_same_images, read_predictions
from mmocr_da.visualization import check_page, write_page

WRITER = 'compare_predictions'


def read_lexicon(file: str) -> list[str]:
    """Return the words of a file, one per line."""
    with open(file, encoding='utf-8-sig') as lines:
        return [line.strip() for line in lines if line.strip()]


def main() -> None:
    """Write the page and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('before', help='Predictions of one recognizer')
    parser.add_argument('after', help='Predictions of the other')
    parser.add_argument('--out-dir', default='comparison', help='Folder of the page')
    parser.add_argument('--only', default='', help='Only images with this text in their paths')
    parser.add_argument('--num', type=int, default=24, help='Images on a sheet; 0: no sheets')
    parser.add_argument('--seed', type=int, default=0, help='Which images are drawn')
    parser.add_argument('--lexicon', help='Words that the images are expected to show, one a line')
    add_comparison_arguments(parser)
    args = parser.parse_args()
    check_count('--num', args.num, least=0)
    check_page(args.out_dir, WRITER)
    paths, before, labels = read_predictions(args.before, args.only)
    others, after, _ = read_predictions(args.after, args.only)
    check_same_images(paths, others)
    missing = [path for path in paths if not osp.isfile(path)]
    if missing and args.num:
        raise ValueError(
            f'the sheets need the image files, got {len(missing)} of {len(paths)} that are not '
            f'there, such as {missing[0]}; start the tool where tools/test.py was started, or '
            'leave the sheets out by --num 0 (images of an LMDB are no files)'
        )
    change = PredictionChange(
        paths,
        before,
        after,
        labels if any(labels) else None,
        read_lexicon(args.lexicon) if args.lexicon else None,
        seed=args.seed,
        **comparison_options(args),
    )
    page = write_page(
        args.out_dir,
        change,
        title='What changed',
        num_images=args.num,
        by=WRITER,
    )
    print(page)
    print(osp.join(args.out_dir, 'adaptation.html'))


if __name__ == '__main__':
    main()
