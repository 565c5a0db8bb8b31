"""Find out which score without labels chooses the best checkpoint of finished trainings.

    python tools/analysis_tools/rank_validators.py RUN... --out-dir validators

Each RUN is the work directory of a training, with the config that it dumped and its checkpoints;
keep several (``default_hooks.checkpoint.max_keep_ckpts``). For each checkpoint the tool computes
all scores of ``mmocr_da.LabelFreeMetric`` on the last dataset of ``test_dataloader``, the target.
If there is a dataset before it, the labelled source, it also computes ``dev``
(``mmocr_da.DEVMetric``) and ``source_accuracy``. ``last`` is the number of the iteration, so it
chooses the last checkpoint.

ORACLE: only here, the labels of the target are used, too: for the true word accuracy, by which the
scores are judged. ``oracle`` is the choice by these labels; it is a bound, and no way to choose.

``scores.jsonl`` gets a line for each checkpoint, so that an interrupted study goes on where it was.
``ranking.md`` says, for each score: Spearman's correlation with the true accuracy, within the runs
(the mean) and over all checkpoints, and the accuracy that is lost against the oracle where the
checkpoint of a run is chosen by the score.
"""

import argparse
import contextlib
import copy
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmocr.registry import DATASETS, MODELS
from mmocr.utils import register_all_modules

from mmocr_da import markdown
from mmocr_da.arguments import check_count, some
from mmocr_da.datasets.label_texts import labels_of
from mmocr_da.engine.checkpoints import check_checkpoint
from mmocr_da.engine.guards import add_guards
from mmocr_da.engine.hooks.label_free_hook import MOST_TEXTS
from mmocr_da.engine.launch import load_config
from mmocr_da.evaluation import rank_scores
from mmocr_da.evaluation.label_free_metric import OF_TEXTS, SCORES
from mmocr_da.models.objectives.teacher_objective import TeacherObjective
from mmocr_da.outputs import check_outputs, output_file, stamp

WRITER = 'rank_validators'
LINES, PAGE = 'scores.jsonl', 'ranking.md'
ORACLE, LAST = 'oracle', 'last'
WARNING = (
    'ORACLE: labels of the target are used for true accuracies, only to judge the scores. A '
    'checkpoint that is chosen by them was chosen by labels.'
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', nargs='+', metavar='RUN', help='Work directories of trainings')
    parser.add_argument('--out-dir', default='validators', help='Folder of lines and page')
    parser.add_argument(
        '--data',
        metavar='CONFIG',
        help='Take test_dataloader and test_evaluator from this config, for all runs',
    )
    parser.add_argument('--images', type=int, help='Images of each dataset at most, the first ones')
    parser.add_argument('--max-characters', type=int, default=5000, help='Default: 5000')
    return parser.parse_args()


# ---------------------------------------------------------------------------- the runs


def config_of(run: Path) -> Config:
    """Read the config that a training dumped to its work directory.

    Raises:
        ValueError: If there is none, or if there are several.
    """
    found = sorted(run.glob('*.py'))
    if len(found) != 1:
        raise ValueError(
            f'RUN must be a work directory with the one config that its training dumped, got {run} '
            f'with {some([file.name for file in found])}'
        )
    return load_config(str(found[0]))


def checkpoints_of(run: Path) -> list[tuple[int, Path]]:
    """List the checkpoints of a run with their iterations or epochs, in order.

    Raises:
        ValueError: If there is none.
    """
    named = ((re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', f.name), f) for f in run.glob('*.pth'))
    found = sorted((int(match[1]), file) for match, file in named if match)
    if not found:
        raise ValueError(f'RUN must hold checkpoints iter_*.pth or epoch_*.pth, got none in {run}')
    return found


def test_config(cfg: Config, images: int | None, max_characters: int, texts: str | None) -> Config:
    """Change a config so that a test computes all scores and the true accuracy.

    Args:
        texts: A file with labels of the source; None leaves out the scores that need it.

    Raises:
        ValueError: If ``test_evaluator`` has no ``mmocr_da.TextErrorMetric``.
    """
    cfg = copy.deepcopy(cfg)
    loader = cfg.test_dataloader
    parts, pipeline = _datasets(loader.dataset)
    if images is not None:
        parts = [dict(part, indices=images) for part in parts]
    loader.dataset = dict(type='ConcatDataset', datasets=parts, pipeline=pipeline)
    loader.update(num_workers=0, persistent_workers=False)
    options = _text_options(cfg.test_evaluator)
    left_out = [*(OF_TEXTS if texts is None else ())]
    left_out += [] if _has_teacher(cfg.model) else ['teacher_agreement']
    metrics: list[dict[str, Any]] = [
        dict(
            type='mmocr_da.LabelFreeMetric',
            scores=[score for score in SCORES if score not in left_out],
            texts=texts,
            max_characters=max_characters,
            **options,
        ),
        dict(type='mmocr_da.TextErrorMetric', prefix=ORACLE, **options),
    ]
    if len(parts) > 1:
        source = [*range(len(parts) - 1)]
        metrics.append(dict(type='mmocr_da.DEVMetric', source=source, prefix='dev', **options))
    prefixes = [*(f'source{i}' for i in range(len(parts) - 1)), 'target']
    cfg.test_evaluator = dict(
        type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=prefixes
    )
    cfg.custom_hooks = [dict(type='mmocr_da.LabelFreeHook')]
    for key in [*cfg]:
        if key.startswith(('train_', 'val_')) or key in ('optim_wrapper', 'param_scheduler'):
            cfg[key] = None
    cfg.update(load_from=None, resume=False)
    return cfg


def source_texts(cfg: Config) -> list[str]:
    """Return labels of the source that a config trains on; none where its files are gone."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    if dataset is None:
        return []
    try:
        built = DATASETS.build(copy.deepcopy(dataset))
        texts = [text for _, text in labels_of(built) if text]
    except (OSError, ValueError) as error:
        print(f'no labels of the source, so no {" and ".join(OF_TEXTS)}: {error}')
        return []
    return texts[:MOST_TEXTS]


def scores_of(run: Path, args: argparse.Namespace, known: set[str]) -> Iterator[dict[str, Any]]:
    """Yield a line for each checkpoint of a run that is not known yet."""
    todo = [(i, file) for i, file in checkpoints_of(run) if named(file) not in known]
    if not todo:
        return
    cfg = config_of(run)
    if args.data is not None:
        data = load_config(args.data)
        cfg.update(test_dataloader=data.test_dataloader, test_evaluator=data.test_evaluator)
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, 'texts.txt')
        texts.write_text('\n'.join(source_texts(cfg)), encoding='utf-8')
        file = str(texts) if texts.stat().st_size else None
        cfg = test_config(cfg, args.images, args.max_characters, file)
        cfg.work_dir, cfg.experiment_name = folder, f'{WRITER}_{folder}'
        if cfg.get('visualizer'):
            cfg.visualizer.update(name=cfg.experiment_name, vis_backends=[])
        runner = Runner.from_cfg(cfg)
        add_guards(runner)
        for iteration, checkpoint in todo:
            check_checkpoint(str(checkpoint), 'checkpoint')
            runner.load_checkpoint(str(checkpoint), 'cpu', strict=True)
            line = dict(run=str(run), checkpoint=named(checkpoint), iteration=iteration)
            yield line | _flat(runner.test(), runner.test_dataloader.dataset) | _settings(args)


def named(file: Path) -> str:
    """Name a file so that another one of its name, which came later, differs."""
    return f'{file.resolve()} ({stamp(file)})'


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    names = ('images', 'max_characters')
    data = None if args.data is None else named(Path(args.data))
    return dict(settings={name: getattr(args, name) for name in names} | dict(data=data))


def _datasets(dataset: Any) -> tuple[list[Any], Any]:
    if 'datasets' not in dataset:
        return [dataset], None
    return list(dataset.datasets), dataset.get('pipeline')


def _text_options(evaluator: Any) -> dict[str, Any]:
    metrics = evaluator.get('metrics', evaluator) if isinstance(evaluator, dict) else evaluator
    for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
        if metric['type'] == 'mmocr_da.TextErrorMetric':
            form = dict(unicode_form=metric.get('unicode_form'))
            return {key: metric.get(key, False) for key in ('ignore_case', 'ignore_symbols')} | form
    raise ValueError(
        "the config of a run must have a test_evaluator with dict(type='mmocr_da.TextErrorMetric'),"
        f' which says what counts as an error, got {evaluator}'
    )


def _has_teacher(model: Any) -> bool:
    classes = (MODELS.get(objective['type']) for objective in model.get('objectives') or ())
    return any(isinstance(c, type) and issubclass(c, TeacherObjective) for c in classes)


def _flat(metrics: dict[str, float], dataset: Any) -> dict[str, Any]:
    """Scores of the target by their names, and the accuracies."""
    found = {
        key.removeprefix('target/label_free/'): value
        for key, value in metrics.items()
        if key.startswith('target/label_free/')
    }
    if 'target/dev/dev' in metrics:
        found['dev'] = metrics['target/dev/dev']
        sizes = np.diff([0, *dataset.cumulative_sizes])[:-1]
        errors = [metrics[f'source{i}/{ORACLE}/wer'] for i in range(len(sizes))]
        found['source_accuracy'] = 1 - float(np.average(errors, weights=sizes))
    return dict(scores=found, **{ORACLE: 1 - metrics[f'target/{ORACLE}/wer']})


# ---------------------------------------------------------------------------- the page


def page(lines: Sequence[dict[str, Any]]) -> str:
    """The ranking in Markdown."""
    runs: dict[str, list[tuple[dict[str, float], float]]] = {}
    for line in sorted(lines, key=lambda line: line['iteration']):
        scores = dict(line['scores'], **{LAST: line['iteration']})
        runs.setdefault(line['run'], []).append((scores, line[ORACLE]))
    best = [max(accuracy for _, accuracy in run) for run in runs.values()]
    rows = [['chosen by', 'accuracy lost', 'most', 'Spearman within runs', 'over all']]
    rows.append([f'{ORACLE} (labels of the target)', '0.0', '0.0', '', ''])
    for rank in rank_scores([*runs.values()]):
        within = f'{rank.within:+.2f} ({rank.runs} of {len(runs)})' if rank.runs else '-'
        overall = '-' if np.isnan(rank.overall) else f'{rank.overall:+.2f}'
        lost = [f'{100 * value:.1f}' for value in (rank.lost, rank.most_lost)]
        rows.append([f'`{rank.score}`', *lost, within, overall])
    return (
        f'# Choosing a checkpoint without labels\n\n{len(lines)} checkpoints of {len(runs)} runs. '
        f'Word accuracy of the best checkpoint of a run: {100 * np.mean(best):.1f} % on average. '
        'Lost accuracy is in percent points, mean and maximum over the runs.\n\n'
        f'**{WARNING}**\n\n{markdown.table(rows)}\n'
    )


# ---------------------------------------------------------------------------- files


def read_lines(file: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Read the lines of earlier calls with the same settings; one that was cut off is dropped."""
    found = []
    for text in file.read_text(encoding='utf-8').splitlines() if file.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(text))
    return [line for line in found if line['settings'] == _settings(args)['settings']]


def append_line(file: Path, line: dict[str, Any]) -> None:
    """Append a line, also after one that was cut off when a call was killed."""
    with file.open('a+b') as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read() != b'\n':
                stream.write(b'\n')
        stream.write(f'{json.dumps(line)}\n'.encode())


def main() -> None:
    """Score what has no score yet, and write the page."""
    args = parse_args()
    check_count('--max-characters', args.max_characters, least=2)
    if args.images is not None:
        check_count('--images', args.images)
    runs = [Path(run) for run in args.runs]
    for run in runs:
        config_of(run)
        checkpoints_of(run)
    out = Path(args.out_dir)
    check_outputs([out / PAGE], WRITER)
    register_all_modules(init_default_scope=True)
    print(WARNING, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    lines = read_lines(out / LINES, args)
    known = {line['checkpoint'] for line in lines}
    for run in runs:
        for line in scores_of(run, args, known):
            lines.append(line)
            append_line(out / LINES, line)
    wanted = {named(file) for run in runs for _, file in checkpoints_of(run)}
    text = page([line for line in lines if line['checkpoint'] in wanted])
    with output_file(out / PAGE, WRITER) as file:
        file.write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
