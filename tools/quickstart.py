"""Printed numbers to handwritten numbers: data, source training, adaptation, evaluation.

    python tools/quickstart.py

A small recognizer is trained on printed numbers, as long again for comparison, and adapted to
unlabelled handwritten ones by tools/adapt.py. Every step is an ordinary command of this repository,
printed before it runs. A step that is done is skipped and a killed one resumes. At the end there
are a table, and in the work directory two pictures, the curves and a sheet of target words with the
predictions of both, and a page that compares them.

With --config the adaptations are configs of configs/assda instead, and so are the others.
"""

import argparse
import glob
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmocr_da import markdown
from mmocr_da.outputs import check_outputs, output_file, whole_file

ROOT = Path(__file__).resolve().parents[1]
DATA = Path('data/printed_to_handwritten')
CONFIGS = Path('configs')
#: Rows of the table. All adapted runs start from the end of the first.
SOURCE, CONTROL, ADAPTED = 'source-only', 'source-only, same length', 'adapted'
#: Their configs, in CONFIGS; of what tools/adapt.py adapts, and for --config.
RECIPE = {
    SOURCE: 'self_training/small/small_augmented-source-only',
    CONTROL: 'self_training/small/small_augmented-control',
}
METHOD = 'assda'
METHOD_CONFIGS = {
    SOURCE: f'{METHOD}/small/small_source-only',
    CONTROL: f'{METHOD}/small/small_control',
}


class Run(NamedTuple):
    """A recognizer of the table."""

    #: Of its test, and of its training.
    folder: Path
    curves: Path
    config: str
    checkpoint: Path


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='Default: work_dirs, and work_dirs/seedN for a seed other than 0',
    )
    parser.add_argument(
        '--config',
        action='append',
        default=[],
        metavar='NAME',
        help=f'Adapt with NAME below configs/{METHOD} instead of tools/adapt.py; may be repeated',
    )
    parser.add_argument(
        '--no-control', action='store_true', help='Skip the source-only run of the same length'
    )
    parser.add_argument('--num-images', type=int, default=24, help='Images on the sheet')
    return parser.parse_args()


def run(*command, environment: dict[str, str] | None = None) -> None:
    """Run a tool of this repository; its output goes on beneath the printed command."""
    options = environment or {}
    shown = [f'{key}={shlex.quote(value)}' for key, value in options.items()]
    print('\n$ ' + ' '.join([*shown, 'python', shlex.join(map(str, command))]), flush=True)
    subprocess.run([sys.executable, *map(str, command)], check=True, env={**os.environ, **options})


def train(
    config: str,
    work_dir: Path,
    seed: int,
    load_from: Path | None = None,
    environment: dict[str, str] | None = None,
    settings: Sequence[str] = (),
    fingerprint: str | None = None,
) -> Path:
    """Train unless it is done already; return the path of the last checkpoint.

    Args:
        settings: What --cfg-options get, beside ``load_from``; of nothing that changes weights.
        fingerprint: A hash of all settings of the config, with the environment.

    Raises:
        SystemExit: If the work directory holds another run, finished or not.
    """
    last = work_dir / 'last_checkpoint'
    begun, done = work_dir / 'begun', work_dir / 'finished'
    made_of = json.dumps(
        [
            *(config, seed, str(load_from), load_from and load_from.stat().st_mtime),
            *([] if fingerprint is None else [fingerprint]),
        ]
    )
    for known in (begun, done):
        if known.exists() and known.read_text() != made_of:
            raise SystemExit(
                f'{work_dir} holds another run: {known.read_text()} instead of {made_of}; '
                'delete it, or choose another --work-dir'
            )
    if not done.exists():
        work_dir.mkdir(parents=True, exist_ok=True)
        with whole_file(begun) as file:
            file.write_text(made_of)
        settings = [*settings] if load_from is None else [*settings, f'load_from={load_from}']
        run(
            'tools/train.py',
            config_file(config),
            '--work-dir',
            work_dir,
            '--seed',
            seed,
            '--resume',
            *(['--cfg-options', *settings] if settings else []),
            environment=environment,
        )
        with whole_file(done) as file:
            file.write_text(made_of)
    # Only the name: the path in the file may belong to another machine or folder.
    return work_dir / Path(last.read_text().strip()).name


def adapt(config: str, checkpoint: Path, work_dir: Path, seed: int) -> tuple[str, Path]:
    """Adapt to the handwritten numbers in one command; return the exported config and checkpoint.

    The learning rate is that of the training before, as the recognizer is small and trained in
    minutes; the command alone takes less, for large ones.
    """
    run(
        'tools/adapt.py',
        config_file(config),
        checkpoint,
        '--target',
        DATA / 'target/textrecog_train.json',
        '--max-iters',
        1600,
        '--batch-size',
        128,
        '--seed',
        seed,
        '--work-dir',
        work_dir,
        '--cfg-options',
        'optim_wrapper.optimizer.lr=0.001',
    )
    exported = work_dir / 'exported' / f'{Path(config).stem}_adapted'
    return f'{exported}.py', exported.with_suffix('.pth')


def config_file(config: str) -> Path:
    """Path of a config in CONFIGS by its name without ``.py``, or of any config by its path."""
    return Path(config) if config.endswith('.py') else CONFIGS / f'{config}.py'


def test(
    config: str, checkpoint: Path, work_dir: Path, environment: dict[str, str] | None = None
) -> dict[str, float]:
    """Evaluate on the test sets of both domains; ``{'target/recog/wer': ..., ...}``."""
    folder = work_dir / 'test'
    if not glob.glob(f'{folder}/*/*.json') or not predictions_of(checkpoint, work_dir).exists():
        run(
            'tools/test.py',
            config_file(config),
            checkpoint,
            '--work-dir',
            folder,
            '--save-preds',
            environment=environment,
        )
    return json.loads(Path(max(glob.glob(f'{folder}/*/*.json'))).read_text())


def predictions_of(checkpoint: Path, work_dir: Path) -> Path:
    """Where the evaluation writes the predictions."""
    return work_dir / 'test' / f'{checkpoint.name}_predictions.pkl'


def table(results: dict[str, dict[str, float]]) -> str:
    """Markdown table of error rates and accuracies in percent, one row per recognizer."""
    columns = [
        (domain, key) for domain in ('target', 'source') for key in ('wer', 'cer', 'word_acc')
    ]
    names = dict(wer='WER', cer='CER', word_acc='word accuracy')
    rows = [['recognizer'] + [f'{domain} {names[key]}' for domain, key in columns]]
    rows += [
        [name] + [f'{100 * result[f"{domain}/recog/{key}"]:.1f}' for domain, key in columns]
        for name, result in results.items()
    ]
    return markdown.table(rows)


def main() -> None:
    args = parse_args()
    if args.work_dir is None:
        args.work_dir = Path('work_dirs', *([f'seed{args.seed}'] if args.seed else []))
    start = time.time()
    os.chdir(ROOT)
    os.environ['MMOCR_DA_DATA'] = 'numbers'  # see configs/_base_/small_adaptation.py
    os.environ.setdefault('PYTHONWARNINGS', 'ignore')  # the hosts' deprecation warnings
    report_file = args.work_dir / 'quickstart.md'
    # Checked now, because the end of the run would be late to find a file that is not ours.
    for name, writer in (
        (report_file.name, 'quickstart'),
        ('curves.png', 'plot_curves'),
        ('predictions.png', 'prediction_sheet'),
        ('comparison/adaptation.html', 'compare_predictions'),
    ):
        check_outputs([args.work_dir / name], writer)
    run('tools/dataset_converters/printed_to_handwritten.py', '--out-dir', DATA)

    runs: dict[str, Run] = {}
    results = {}

    def step(name: str, config: str, load_from: Path | None = None) -> Path:
        folder = args.work_dir / f'{Path(config).name}_numbers'
        checkpoint = train(config, folder, args.seed, load_from)
        runs[name] = Run(folder, folder, config, checkpoint)
        results[name] = test(config, checkpoint, folder)
        return checkpoint

    configs = METHOD_CONFIGS if args.config else RECIPE
    source = step(SOURCE, configs[SOURCE])
    if not args.no_control:
        step(CONTROL, configs[CONTROL], source)
    for name in args.config:
        step(f'{ADAPTED} ({Path(name).name})', f'{METHOD}/{name}', source)
    if not args.config:
        folder = args.work_dir / 'adapted_numbers'
        config, checkpoint = adapt(configs[SOURCE], source, folder, args.seed)
        runs[ADAPTED] = Run(folder, folder / 'training', config, checkpoint)
        # The exported config has MMOCR's metrics; WER and CER are those of the other rows.
        results[ADAPTED] = test(configs[SOURCE], checkpoint, folder)
    draw(args, runs)

    report = table(results)
    with output_file(report_file, 'quickstart') as file:
        file.write_text(report + '\n')
    print(
        f'\nTest sets, in percent (seed {args.seed}, last checkpoints; the handwritten training '
        f'images have no labels):\n\n{report}\n'
    )
    print(f'Curves:      {args.work_dir / "curves.png"}')
    print(f'Predictions: {args.work_dir / "predictions.png"}')
    print(f'Comparison:  {args.work_dir / "comparison" / "adaptation.html"}')
    print(f'TensorBoard: tensorboard --logdir {args.work_dir}')
    print(f'Time of this run: {(time.time() - start) / 60:.1f} minutes')


def draw(args, runs: dict[str, Run]) -> None:
    """Draw the curves of all runs; compare the predictions of the first and the last recognizer."""
    run(
        'tools/analysis_tools/plot_curves.py',
        *(made.curves for made in runs.values()),
        '--labels',
        *runs,
        '--out',
        args.work_dir / 'curves.png',
    )
    compared = [(name, runs[name]) for name in (next(iter(runs)), next(reversed(runs)))]
    models = []
    for name, made in compared:
        models += ['--model', name, config_file(made.config), made.checkpoint]
    run(
        'tools/analysis_tools/prediction_sheet.py',
        *models,
        '--num',
        args.num_images,
        '--out',
        args.work_dir / 'predictions.png',
    )
    files = [predictions_of(made.checkpoint, made.folder) for _, made in compared]
    run(
        'tools/analysis_tools/compare_predictions.py',
        *files,
        '--only',
        'target/',
        '--out-dir',
        args.work_dir / 'comparison',
    )


if __name__ == '__main__':
    main()
