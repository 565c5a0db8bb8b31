"""Plot the training curves of one or several runs: losses, gates, discriminators, error rates.

    python tools/analysis_tools/plot_curves.py WORK_DIR [WORK_DIR ...] --out curves.png

It writes one picture, ``--out``. ``RUN,RUN,RUN`` is drawn as the mean of several runs, for example
of several seeds; ``--only 'target/.*/wer$'`` draws only the scalars with a matching name.
"""

import argparse
import json
import os.path as osp
import re
from collections import defaultdict
from collections.abc import Sequence
from glob import glob

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  the backend comes first

from mmocr_da.visualization import add_picture_arguments, check_picture, save_picture  # noqa: E402

#: Pattern of the names of the scalars of a panel, by its title.
PANELS = {
    'loss': r'^loss',
    'lambda': r'_lambda$',
    'gate pass rate': r'_gate_(source|target)$',
    'discriminator accuracy': r'_acc_(source|target)$',
    'share of gates': r'^(bin_)?gates_(below|above)_',
    'CER': r'(^|/)cer$',
    'WER': r'(^|/)wer$',
}

Curves = dict[str, dict[int, float]]


def read_scalars(run: str) -> Curves:
    """Return ``{name: {step: value}}`` of a work directory, or of one ``scalars.json``.

    A work directory has one file per start of the run. Values of a resumed run replace the earlier
    ones from its first step on.

    Raises:
        ValueError: If there is no such file.
    """
    files = [run] if osp.isfile(run) else sorted(glob(osp.join(run, '*/vis_data/scalars.json')))
    if not files:
        raise ValueError(f'a run must be a work directory with */vis_data/scalars.json, got {run}')
    curves = defaultdict(dict)
    for file in files:
        rows = _read_rows(file)
        trained = [row['step'] for row in rows if 'lr' in row or 'loss' in row]
        if not trained:  # only a validation, which always logs step 0
            continue
        for values in curves.values():
            for step in [step for step in values if step >= min(trained)]:
                del values[step]
        for row in rows:
            for name, value in row.items():
                if isinstance(value, (int, float)):
                    curves[name][row['step']] = value
    return curves


def mean_scalars(runs: Sequence[str]) -> Curves:
    """Return the mean of several runs, at the steps that all of them have."""
    curves = [read_scalars(run) for run in runs]
    means = {}
    for name in set.intersection(*map(set, curves)):
        steps = set.intersection(*(set(c[name]) for c in curves))
        means[name] = {step: sum(c[name][step] for c in curves) / len(curves) for step in steps}
    return means


def _read_rows(file: str) -> list:
    rows = []
    with open(file, encoding='utf-8') as f:
        for line in f:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:  # an incomplete line: the run was killed or is writing it
                continue
    return rows


def plot_curves(
    runs: Sequence[str],
    out_file: str,
    labels: Sequence[str] | None = None,
    only: str = '',
    font: str | None = None,
) -> dict[str, int]:
    """Draw a panel for each kind of scalars that a run has.

    With several runs, the colour stands for the run and the line style for the scalar.

    Args:
        runs: Work directories or files ``scalars.json``; runs joined by commas are averaged.
        out_file: PNG, or another format that matplotlib writes.
        labels: A name for each run; by default, the names of the folders.
        only: Regular expression for the names of scalars.
        font: For the texts, see :func:`~mmocr_da.visualization.pictures.save_picture`.

    Returns:
        Number of curves by the title of the panel.

    Raises:
        ValueError: If no run has scalars to draw, or if the number of labels is wrong.
    """
    labels = labels or _short_names(runs)
    if len(labels) != len(runs):
        raise ValueError(f'labels needs one name per run, got {len(labels)} for {len(runs)} runs')
    curves = [mean_scalars([run] if osp.exists(run) else run.split(',')) for run in runs]
    names = {
        title: sorted(
            {n for c in curves for n in c if re.search(pattern, n) and re.search(only, n)}
        )
        for title, pattern in PANELS.items()
    }
    names = {title: found for title, found in names.items() if found}
    if not names:
        raise ValueError(
            f'runs must have logged one of {", ".join(PANELS)}, got none in {", ".join(runs)}'
        )
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(5 * columns, 3.6 * rows), squeeze=False, layout='tight'
    )
    styles = ['-', '--', ':', '-.']
    drawn = {}
    for ax, (title, found) in zip(axes.flat, names.items()):
        for i, (run_curves, label) in enumerate(zip(curves, labels)):
            for j, name in enumerate(found):
                if not run_curves.get(name):
                    continue
                steps, values = zip(*sorted(run_curves[name].items()))
                several = len(runs) > 1
                ax.plot(
                    steps,
                    values,
                    color=f'C{(i if several else j) % 10}',
                    linestyle=styles[j % 4] if several else '-',
                    # A single validation is a point, and a line would not show it.
                    marker='.' if len(steps) < 30 else None,
                    label=f'{label}: {name}' if several else name,
                )
        ax.set_title(title)
        ax.set_xlabel('iteration')
        ax.grid(alpha=0.3)
        ax.legend(fontsize='x-small')
        drawn[title] = len(ax.lines)
    for ax in axes.flat[len(names) :]:
        ax.axis('off')
    save_picture(fig, out_file, 'plot_curves', font)
    plt.close(fig)
    return drawn


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
    check_picture(args.out, 'plot_curves', args.runs, args.font)
    plot_curves(args.runs, args.out, args.labels, args.only, args.font)
    print(args.out)


if __name__ == '__main__':
    main()
