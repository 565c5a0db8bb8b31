"""Plot the training curves of one or several runs: losses, gates, discriminators, error rates.

    python tools/analysis_tools/plot_curves.py WORK_DIR [WORK_DIR ...] --out curves.png

It writes one picture, ``--out``. ``RUN,RUN,RUN`` is drawn as the mean of several runs, for example
of several seeds; ``--only 'target/.*/wer$'`` draws only the scalars with a matching name.
"""

import argparse
import os.path as osp
from collections.abc import Sequence

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmocr_da.engine.scalars import mean_scalars
from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    curves_figure,
    report_picture,
    save_picture,
)


def plot_curves(
    runs: Sequence[str],
    out_file: str,
    labels: Sequence[str] | None = None,
    only: str = '',
    font: str | None = None,
) -> dict[str, int]:
    """Draw a panel for each kind of scalars that a run has, see :func:`curves_figure`.

    Args:
        runs: Work directories or files ``scalars.json``; runs joined by commas are averaged.
        out_file: PNG, or another format that matplotlib writes.
        labels: A name for each run; by default, the names of the folders.
        only: Regular expression for the names of scalars.
        font: For the texts, see :func:`~mmocr_da.visualization.pictures.save_picture`.

    Returns:
        Number of curves by the title of the panel.

    Raises:
        ValueError: If no run has scalars to draw, or if the names of the runs are not as many.
    """
    labels = labels or _short_names(runs)
    if len({*labels}) != len(runs):
        raise ValueError(
            f'labels needs a different name for each run, got {", ".join(labels)} for {len(runs)} '
            'runs'
        )
    curves = [mean_scalars([run] if osp.exists(run) else run.split(',')) for run in runs]
    figure = curves_figure(dict(zip(labels, curves)), only)
    save_picture(figure, out_file, 'plot_curves', font)
    return {ax.get_title().split(':')[0]: len(ax.lines) for ax in figure.axes if ax.lines}


def _short_names(runs: Sequence[str]) -> list:
    names = [osp.basename(osp.normpath(run.split(',')[0])) for run in runs]
    return names if len(set(names)) == len(names) else list(runs)


def main():
    parser = argparse.ArgumentParser(description='Plot the curves of one or several runs')
    parser.add_argument(
        'runs', nargs='+', metavar='RUN[,RUN...]', help='Work directories, or scalars.json files'
    )
    add_picture_arguments(parser, 'curves.png')
    parser.add_argument('--labels', nargs='+', help='One name per run; default: folder names')
    parser.add_argument('--only', default='', metavar='REGEX', help='Names of scalars to draw')
    args = parser.parse_args()
    check_picture(args.out, 'plot_curves', args.runs, args.font, args.tensorboard)
    plot_curves(args.runs, args.out, args.labels, args.only, args.font)
    report_picture(args, 'curves')


if __name__ == '__main__':
    main()
