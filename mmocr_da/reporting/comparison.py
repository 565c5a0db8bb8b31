"""Makes the page that compares several runs: one table, curves, and what differs."""

import math
import os.path as osp
import re
from collections.abc import Iterable, Sequence

from mmocr_da.visualization import Page, Section
from mmocr_da.visualization.page import (
    Block,
    Literal,
    Notes,
    Paragraph,
    Table,
    Text,
)

from .configs import flat, settings_of
from .health import findings
from .run_folder import RunFolder
from .training import LABEL_FREE, SHOWN, panel_pictures, seconds

#: Metrics of the table: the end of their names, and whether higher is better.
METRICS = {
    r'(^|/)cer$': False,
    r'(^|/)wer$': False,
    r'word_acc(uracy)?_ignore_case_symbol$': True,
    r'(^|/)hmean$': True,
    r'(^|/)label_free/': True,
}
#: Settings that differ and are listed at most.
MOST = 40
#: Characters of a value in the table of settings at most.
LONGEST = 60
#: Panels of the pictures. Of losses, only the sum: its parts differ from method to method.
PANELS = {
    **{title: SHOWN[title] for title in ('CER', 'WER', 'word accuracy', 'hmean of boxes')},
    LABEL_FREE: SHOWN[LABEL_FREE],
    'loss': r'^loss$',
}


def compare_runs(paths: Sequence[str]) -> Page:
    """Make the page that compares runs.

    Args:
        paths: Work directories, at least two.

    Raises:
        ValueError: If one is no work directory, or is given twice.
    """
    if len({osp.realpath(path) for path in paths}) < max(len(paths), 2):
        raise ValueError(
            f'runs must be two or more different ones, got {", ".join(map(str, paths))}'
        )
    runs = dict(zip(short_names(paths), map(RunFolder.read, paths)))
    for name, run in runs.items():
        if not run.has_started:
            raise ValueError(f'a run must be the work directory of a training, got {run.path}')
    sections = [_table(runs), *_picture(runs), *_settings(runs)]
    missing = [f'{name}: {text}' for name, run in runs.items() for text in run.missing]
    summary: dict[str, list[Block]] = {
        'What to look at': [Notes(_hints(runs))],
    }
    if missing:
        summary['What is missing?'] = [Notes(missing)]
    return Page(f'Comparison of {len(runs)} trainings', sections, summary)


def short_names(paths: Sequence[str]) -> list[str]:
    """Return the parts of paths that differ.

    >>> short_names(['work/a/seed0', 'work/b/seed0']), short_names(['work/a', 'work/b'])
    (['a/seed0', 'b/seed0'], ['a', 'b'])
    """
    absolute = [osp.realpath(path) for path in paths]
    names = [osp.basename(path) for path in absolute]
    if len({*names}) < len(names):
        common = osp.commonpath(absolute)
        names = [osp.relpath(path, common) for path in absolute]
    return names


def same_data(runs: Iterable[RunFolder]) -> bool:
    """Whether all runs whose configs are known were validated on the same data, in the same way."""
    known = [run.cfg for run in runs if run.cfg is not None]
    data = [
        (
            dict(flat((cfg.get('val_dataloader') or {}).get('dataset'))),
            dict(flat(cfg.get('val_evaluator') or {})),
        )
        for cfg in known
    ]
    return all(found == data[0] for found in data)


def _hints(runs: dict[str, RunFolder]) -> list[Text]:
    hints: list[Text] = [
        'A star marks the best number of a column. Runs of one seed differ by chance: repeat them '
        'with other seeds before you believe a small difference.'
    ]
    if not same_data(runs.values()):
        hints = [
            'The runs were validated on different data, or by metrics with different settings: '
            'their numbers cannot be compared.'
        ]
    for name, run in runs.items():
        if run.unfinished:
            hints.append([Literal(name), f' has not ended: {run.unfinished}.'])
        if found := findings(run):
            hints.append([Literal(name), f': {found[0]}'])
    return hints


def _table(runs: dict[str, RunFolder]) -> Section:
    names = {
        name: higher
        for pattern, higher in METRICS.items()
        for name in sorted({n for run in runs.values() for n in run.curves if run.curves[n]})
        if re.search(pattern, name) and not name.startswith('health/')
    }
    values = {
        name: {
            run_name: run.curves[name][max(run.curves[name])]
            for run_name, run in runs.items()
            if run.curves.get(name) and not math.isnan(run.curves[name][max(run.curves[name])])
        }
        for name in names
    }
    comparable = same_data(runs.values())
    rows: list[Sequence[Text]] = [
        ['run', 'iterations', *map(Literal, names), 'faults', 'time of an iteration']
    ]
    for run_name, run in runs.items():
        row: list[Text] = [Literal(run_name), f'{run.last_iteration:,}']
        for name, higher in names.items():
            found = values[name]
            best = (max if higher else min)(found.values(), default=None)
            star = ' *' if comparable and found.get(run_name) == best else ''
            row.append(f'{found[run_name]:.4f}{star}' if run_name in found else '')
        every = seconds(run.curves)
        row += [f'{len(findings(run))}', f'{every:.3g} s' if every is not None else '']
        rows.append(row)
    about = (
        'The last value of each metric. Of error rates (CER of characters, WER of words) lower is '
        'better, of accuracies and scores without labels higher; faults are those that '
        'HealthHook has found, if the run had it.'
    )
    return Section('Results', [Paragraph(about), Table(rows)])


def _picture(runs: dict[str, RunFolder]) -> list[Section]:
    pictures = panel_pictures({name: run.curves for name, run in runs.items()}, PANELS)
    return [Section('Curves', [pictures])] if pictures.pictures else []


def _settings(runs: dict[str, RunFolder]) -> list[Section]:
    known = {name: run for name, run in runs.items() if run.cfg is not None}
    settings = {name: dict(flat(settings_of(run.cfg))) for name, run in known.items()}
    keys = dict.fromkeys(key for found in settings.values() for key in found)
    rows: list[Sequence[Text]] = [['setting', *map(Literal, known)]]
    for key in sorted(keys):
        shown = [_shown(found[key]) if key in found else '' for found in settings.values()]
        if len({*shown}) > 1:
            rows.append([Literal(key), *map(_cell, shown)])
    if len(rows) < 2:
        return []
    blocks: list[Block] = [Table(rows[: MOST + 1])]
    if len(rows) > MOST + 1:
        blocks.append(Paragraph(f'And {len(rows) - MOST - 1} further ones.'))
    return [Section('Settings that differ', blocks)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 1]}\u2026'


def _cell(text: str) -> Text:
    return [Literal(text)] if text else ''
