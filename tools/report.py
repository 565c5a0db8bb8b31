"""Write one page about a run, or one that compares several.

    python tools/report.py WORK_DIR
    python tools/report.py WORK_DIR OTHER_WORK_DIR ... --out comparison.html

WORK_DIR is the work directory of tools/train.py or tools/adapt.py. The page is a single HTML file
that loads nothing: what changed and whether it is healthy; data of both domains, images whose
prediction changed, features, attention, curves, scores without labels, cost, and the config as a
diff. It says what is missing of a run that has not ended or whose data are elsewhere.

Start it where the training was started, so that relative paths of the data are found.
"""

import argparse
import os.path as osp

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmocr_da.reporting import check_report, compare_runs, report, write_report
from mmocr_da.reporting.page import COMPARED, PAGE


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', nargs='+', metavar='WORK_DIR', help='Work directories')
    parser.add_argument('--out', help=f'The page; default: {PAGE} in the first work directory')
    parser.add_argument(
        '--num-images',
        type=int,
        default=COMPARED,
        help='Test images that are predicted before and after; 0 leaves out all that needs the '
        f'model (default: {COMPARED})',
    )
    parser.add_argument(
        '--config', help='The config as it was written, for the diff; default: one of its name'
    )
    parser.add_argument('--seed', type=int, default=0, help='Which images are drawn')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    several = len(args.runs) > 1
    out = args.out or osp.join(args.runs[0], 'comparison.html' if several else PAGE)
    check_report(out)
    if several:
        page = compare_runs(args.runs)
    else:
        page = report(args.runs[0], args.num_images, args.config, args.seed, args.device)
    write_report(page, out)
    print(page.markdown())
    print(f'This page: {out}')


if __name__ == '__main__':
    main()
