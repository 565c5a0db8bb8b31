"""Sections about a training: its curves, scores without labels, and what it cost."""

import math
import statistics
from collections.abc import Mapping, Sequence

from mmocr_da.engine.checkpoint_fit import only_for_training
from mmocr_da.engine.checkpoints import read_checkpoint, weights_of
from mmocr_da.engine.scalars import Curves
from mmocr_da.visualization import curves_figure
from mmocr_da.visualization.curves import PANELS, scalars_of
from mmocr_da.visualization.page import (
    Block,
    Command,
    Literal,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
)

from .run_folder import RunFolder

#: The panel that has a section of its own.
LABEL_FREE = 'scores without labels'
#: Pattern of the names of the scalars of a panel, by its title.
SHOWN = {
    # Measures of health have a section of their own.
    **{title: pattern for title, pattern in PANELS.items() if not pattern.startswith('^health')},
    'learning rate': r'^lr$',
    'word accuracy': r'^(?!health/)(.*/)?word_acc(uracy)?_ignore_case_symbol$',
    'hmean of boxes': r'(^|/)hmean$',
    LABEL_FREE: r'(^|/)label_free/',
}
#: What to look for in a panel, by its title.
MEANINGS = {
    'loss': 'What the training lowers. The loss of an adversary need not fall: it and the '
    'recognizer pull in opposite directions.',
    'lambda and weights': 'How much each objective of the adaptation counts; many rise slowly, so '
    'that the recognizer is not disturbed at once.',
    'gate pass rate': 'Share of the characters that are aligned. Near 0, the objective looks at '
    'nothing.',
    'discriminator accuracy': 'How often a discriminator knows the domain. About 0.5: the domains '
    'look alike to it; near 1: the recognizer does not follow.',
    'share of words kept': 'Share of the predictions on the target that serve as labels.',
    'confidence of words': 'How sure the teacher is of its predictions on the target, and from '
    'which confidence on they serve as labels.',
    'share of gates': 'Share of the gates of batch-instance norm that remove style (below 0.1) or '
    'keep it (above 0.9).',
    'CER': 'Character error rate, wrong characters per true character: lower is better.',
    'WER': 'Word error rate, the share of wrong words: lower is better.',
    'learning rate': 'How large the steps of the training are.',
    'word accuracy': 'Share of right words, without letter case and symbols: higher is better.',
    'hmean of boxes': 'Harmonic mean of the recall and the precision of boxes: higher is better.',
    LABEL_FREE: 'Higher is better, but none is an accuracy.',
}
#: Ends of the names of statistics of layers, which are no parameters.
STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


def curve_section(run: RunFolder) -> list[Section]:
    """Make the section of curves; nothing if none was logged."""
    pictures = panel_pictures({'': run.curves}, {t: p for t, p in SHOWN.items() if t != LABEL_FREE})
    return [Section('Curves of the training', [pictures])] if pictures.pictures else []


def panel_pictures(runs: Mapping[str, Curves], panels: Mapping[str, str]) -> Pictures:
    """Draw the panels that a run has, each with a sentence on what to look for.

    Args:
        runs: What was logged, by the name of the run.
        panels: Some of :data:`SHOWN`.
    """
    pictures = []
    for title, names in scalars_of(runs.values(), panels=panels).items():
        shown = {run: _short(curves, names) for run, curves in runs.items()}
        figure = curves_figure(shown, panels={title: ''})
        alt = f'Curves over iterations: {title} ({", ".join(names)})'
        pictures.append(Picture.of(figure, alt, MEANINGS[title]))
    return Pictures(pictures)


def _short(curves: Curves, names: Sequence[str]) -> Curves:
    """Take some scalars, without the last part of their names if all have the same.

    >>> _short({'source/cer': {1: 0.5}, 'target/cer': {1: 0.5}}, ['source/cer', 'target/cer'])
    {'source': {1: 0.5}, 'target': {1: 0.5}}
    """
    same = len({name.rpartition('/')[2] for name in names}) == 1 and all('/' in n for n in names)
    return {n.rpartition('/')[0] if same else n: curves[n] for n in names if n in curves}


def label_free_section(run: RunFolder) -> list[Section]:
    """Make the section of label-free scores over the checkpoints; nothing without any."""
    panels = {LABEL_FREE: SHOWN[LABEL_FREE]}
    names = scalars_of([run.curves], panels=panels).get(LABEL_FREE)
    if not names:
        return []
    steps = sorted({step for name in names for step in run.curves[name]})
    rows: list[Sequence[Text]] = [['iteration', *map(Literal, names)]]
    known = {n: {s: x for s, x in run.curves[n].items() if not math.isnan(x)} for n in names}
    best = {name: max(found, key=found.__getitem__) for name, found in known.items() if found}
    for step in steps:
        values = [_starred(run.curves[name].get(step), step == best.get(name)) for name in names]
        rows.append([f'{step:,}', *values])
    return [
        Section(
            'Scores without labels',
            [
                Paragraph(
                    'By these a checkpoint can be chosen without labels of the target: higher is '
                    'better, and a star marks the highest. None is an accuracy: each can rise '
                    'while the recognizer becomes sure of its errors.'
                ),
                Table(rows),
                panel_pictures({'': run.curves}, panels),
            ],
        )
    ]


def _starred(value: float | None, best: bool) -> str:
    return '' if value is None else f'{value:.4g}{" *" if best else ""}'


def cost_section(run: RunFolder) -> list[Section]:
    """Make the section of time, memory, parameters and files; nothing if nothing is known."""
    rows: list[Sequence[Text]] = [['', 'number', 'what it is']]
    rows += _time(run.curves)
    rows += _parameters(run)
    sizes = [path.stat().st_size for path in run.exported if path.suffix == '.pth']
    if sizes:
        rows.append(['exported checkpoint', f'{sizes[0] / 1e6:.1f} MB', 'what MMOCR alone loads'])
    blocks: list[Block] = [Table(rows)] if len(rows) > 1 else []
    if commands := export_commands(run):
        blocks += [Command(what, command) for what, command in commands.items()]
    return [Section('Export and cost', blocks)] if blocks else []


def export_commands(run: RunFolder) -> dict[str, str]:
    """Return how to export the last checkpoint; nothing if it is done or there is none."""
    if any(map(run.is_new, run.exported)) or not run.checkpoints:
        return {}
    configs = sorted(run.training.glob('*.py')) or sorted(run.training.glob('*/vis_data/config.py'))
    if not configs:
        return {}
    command = f'python tools/export.py {configs[-1]} {run.checkpoints[-1]} {run.path / "exported"}'
    return {'Write a config and a checkpoint that MMOCR alone reads': command}


def seconds(curves: Curves) -> float | None:
    """Seconds of an iteration, the median of what was logged."""
    times = [x for step, x in curves.get('time', {}).items() if step in curves.get('loss', {})]
    return statistics.median(times) if times else None


def _time(curves: Curves) -> list[Sequence[Text]]:
    rows: list[Sequence[Text]] = []
    every = seconds(curves)
    if every is None:
        return rows
    last = max(curves['loss'])
    rows.append(['time of an iteration', f'{every:.3g} s', 'median of those in the log'])
    hours = every * last / 3600
    rows.append([f'{last:,} iterations', f'{hours:.2g} h', 'without validation and checkpoints'])
    waits = [
        x / curves['time'][step]
        for step, x in curves.get('data_time', {}).items()
        if curves['time'].get(step) and step in curves['loss']
    ]
    if waits:
        share = f'{statistics.median(waits):.0%}'
        rows.append(['waiting for data', share, 'if it is high, raise num_workers'])
    if memory := curves.get('memory'):
        rows.append(['memory of the GPU', f'{max(memory.values()):,.0f} MB', 'the highest'])
    return rows


def _parameters(run: RunFolder) -> list[Sequence[Text]]:
    if not run.checkpoints:
        return []
    weights = weights_of(read_checkpoint(str(run.checkpoints[-1])))
    sizes = {True: 0, False: 0}
    for key, value in weights.items():
        if not key.endswith(STATISTICS):
            sizes[only_for_training(key)] += value.numel()
    rows: list[Sequence[Text]] = [
        ['parameters', f'{sizes[False] / 1e6:.2f} million', 'of the model that is used in the end']
    ]
    if sizes[True]:
        what = 'discriminators, teachers and the like, which an export drops'
        rows.append(['only for training', f'{sizes[True] / 1e6:.2f} million', what])
    size = run.checkpoints[-1].stat().st_size
    rows.append([Literal(run.checkpoints[-1].name), f'{size / 1e6:.1f} MB', 'the last checkpoint'])
    return rows
