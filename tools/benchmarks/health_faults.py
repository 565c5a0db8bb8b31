"""Train runs that are made to fail, and print what ``mmocr_da.HealthHook`` says of them.

    python tools/benchmarks/health_faults.py

A small recognizer of printed numbers (configs/self_training/small/small_augmented-source-only.py)
is trained once, or given by ``--checkpoint``. From there each run is an adaptation of the default
data with one setting that ruins it, for each of the seven faults of
``mmocr_da.engine.health.diagnosis``, and the first two are adaptations as they should be. The hook
measures every 25 iterations, eight times in each run. ``results.md`` in the work directory has the
faults that it names, and the iteration at which each is first there. A run that is done is skipped.
"""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import sys

from mmocr_da import markdown
from mmocr_da.outputs import check_outputs, output_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import quickstart  # noqa: E402  the folder of tools is no package

WRITER = 'benchmarks/health_faults'
START = 'self_training/small/small_augmented-source-only'
ASSDA = 'self_training/small/small_augmented-assda'
SELF_TRAINING = 'self_training/small/small_self-training'
INTERVAL, ITERS = 25, 200
LEARNING_RATE = 'optim_wrapper.optimizer.lr'
OF_OBJECTIVES = 'optim_wrapper.paramwise_cfg.custom_keys.objectives.lr_mult'


class Run(NamedTuple):
    """A run that is made to fail.

    Attributes:
        fault: What must be found; None for a run that is as it should be.
        about: What is wrong with it, in words.
        config: Relative to ``configs``, without its ending.
        options: What ``--cfg-options`` get.
        from_start: Whether it starts from the recognizer of the source, not from random weights.
    """

    fault: str | None
    about: str
    config: str
    options: tuple[str, ...] = ()
    from_start: bool = True


RUNS = {
    'assda': Run(None, 'ASSDA as it is', ASSDA),
    'self-training': Run(None, 'self-training as it is', SELF_TRAINING),
    'collapsed': Run(
        'discriminator collapsed',
        'the discriminators have a learning rate of 0',
        ASSDA,
        (f'{OF_OBJECTIVES}=0.0',),
    ),
    'dominates': Run(
        'discriminator dominates',
        'the alignments weigh a thousandth',
        ASSDA,
        ('model.objectives.0.weight=0.0003', 'model.objectives.1.weight=0.0006'),
    ),
    'gate': Run(
        'gate empty',
        'the gate asks for a confidence that no character has',
        ASSDA,
        ('model.objectives.1.threshold=0.9999999',),
    ),
    'pseudo-labels': Run(
        'pseudo-labels collapsed',
        'the teacher stays the recognizer at the start, which has random weights',
        SELF_TRAINING,
        ('model.objectives.0.decay=1.0',),
        from_start=False,
    ),
    'transfer': Run(
        'negative transfer',
        'the alignments weigh a hundred times as much',
        ASSDA,
        ('model.objectives.0.weight=30.0', 'model.objectives.1.weight=60.0'),
    ),
    'forgotten': Run(
        'source forgotten',
        'no label of the source is learned, and the learning rate is five times as high',
        SELF_TRAINING,
        ('model.supervised_weight=0', f'{LEARNING_RATE}=0.005'),
    ),
    'deceived': Run(
        'surrogate deceived',
        'the learned edit distance has random weights and four channels, and does not learn; the '
        'learning rate is thirty times as high',
        'learned_surrogate/small/small_lsed',
        (
            f'{OF_OBJECTIVES}=0.0',
            f'{LEARNING_RATE}=0.003',
            'model.objectives.0.surrogate.warmup=1',
            'model.objectives.0.surrogate.channels=[4,4,4,4,4]',
            'model.objectives.0.surrogate.hidden_channels=4',
        ),
    ),
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--checkpoint', type=Path, help='Recognizer of the source; it is not trained'
    )
    parser.add_argument('--runs', nargs='+', default=list(RUNS), choices=RUNS)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/health_faults'))
    return parser.parse_args()


def faults_of(log: str) -> dict[str, int]:
    """Read the faults that the reports of the hook name, with the iteration of the first one.

    >>> faults_of('Health at iteration 50 (...):\\n  gate: ...\\n  faults: gate empty, other\\n')
    {'gate empty': 50, 'other': 50}
    """
    found: dict[str, int] = {}
    for iteration, report in re.findall(r'Health at iteration (\d+)(.*(?:\n  .*)*)', log):
        for faults in re.findall(r'\n  faults: (.*)', report):
            for fault in faults.split(', '):
                found.setdefault(fault, int(iteration))
    return found


def train(name: str, start: Path, work_dir: Path, seed: int) -> dict[str, int]:
    """Train a run unless it is done; return :func:`faults_of` it."""
    run, folder = RUNS[name], work_dir / name
    options = (
        f'train_cfg.max_iters={ITERS}',
        'val_cfg=None',
        'val_dataloader=None',
        'val_evaluator=None',
        f'default_hooks.checkpoint.interval={ITERS}',
        'default_hooks.health.type=mmocr_da.HealthHook',
        f'default_hooks.health.interval={INTERVAL}',
        'default_hooks.health.max_share=1.0',
    )
    unloaded = () if run.from_start else ('load_from=None',)
    quickstart.train(
        run.config,
        folder,
        seed,
        start if run.from_start else None,
        dict(MMOCR_DA_DATA='numbers'),
        (*options, *run.options, *unloaded),
    )
    return faults_of(''.join(f.read_text('utf-8') for f in sorted(folder.glob('*/*.log'))))


def table(found: dict[str, dict[str, int]]) -> str:
    """Lay out what is found in each run."""
    rows = [['what is wrong with the run', 'faults that it is warned of, first at iteration']]
    for name, faults in found.items():
        named = ', '.join(f'{fault} ({iteration})' for fault, iteration in faults.items())
        rows.append([RUNS[name].about, named or 'none'])
    return markdown.table(rows)


def main() -> None:
    args = parse_args()
    page = args.work_dir.absolute() / 'results.md'
    check_outputs([page], WRITER)
    start = args.checkpoint
    quickstart.run(
        'tools/dataset_converters/printed_to_handwritten.py',
        '--with-target-train-labels',
        '--out-dir',
        quickstart.DATA,
    )
    if start is None:
        start = quickstart.train(START, args.work_dir / 'start', args.seed)
    found = {name: train(name, start, args.work_dir, args.seed) for name in args.runs}
    text = table(found)
    with output_file(page, WRITER) as file:
        file.write_text(text + '\n', encoding='utf-8')
    print(f'\n{text}\n{page}')
    missed = {
        name: RUNS[name].fault for name in found if RUNS[name].fault not in (None, *found[name])
    }
    if missed:
        print(f'not found: {missed}')


if __name__ == '__main__':
    main()
