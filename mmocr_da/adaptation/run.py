"""From a checkpoint and unlabelled images to a better recognizer, step by step."""

import json
import logging
import os.path as osp
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process
from mmengine.logging import print_log
from mmengine.model import BaseModel, PretrainedInit
from mmocr.registry import DATASETS

from mmocr_da.arguments import some
from mmocr_da.config_names import check_config_folder
from mmocr_da.datasets.polarity import bright_text_share
from mmocr_da.engine.checkpoints import check_checkpoint
from mmocr_da.engine.launch import check_config, load_config, set_resume, train
from mmocr_da.engine.rehearsal import rehearse
from mmocr_da.evaluation import PredictionChange
from mmocr_da.export import export
from mmocr_da.model_zoo import weights_for
from mmocr_da.outputs import (
    check_outputs,
    is_own,
    is_unchanged,
    output_file,
    output_files,
    whole_file,
)
from mmocr_da.reporting.run_folder import EXPORTED, TRAINING, VIEWS
from mmocr_da.visualization import check_picture

from .checks import check
from .comparison import PAGE, compare, labels_of_eval
from .compose import compose, default_batch_size, output_name
from .estimate import duration, seconds_per_step
from .image_sources import CONFIG, NONE, target_dataset
from .launching import join, on_main
from .recognizers import Recognizer, read_recognizer
from .request import BY, LAST, Request
from .views import draw_views

RECORD, CHECKS, FINISHED = 'adapt.json', 'checks.txt', 'finished'


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation has written."""

    #: Folder of all of it.
    work_dir: Path
    #: The config that was trained, to keep and to edit.
    config: Path
    #: What was found before the training.
    checks: Path
    #: Plain config and checkpoint for MMOCR; None after a dry run.
    exported_config: Path | None = None
    exported_checkpoint: Path | None = None
    #: Page with the changes; None after a dry run.
    page: Path | None = None
    #: Its numbers; None after a dry run, and where the page was there already.
    change: PredictionChange | None = None


def adapt(
    config: str,
    checkpoint: str | None,
    target: str | Sequence[str],
    source: str | Sequence[str] = CONFIG,
    *,
    lexicon: str | None = None,
    fonts: str | None = None,
    work_dir: str | None = None,
    max_iters: int = 2000,
    batch_size: int | None = None,
    eval_labels: str | None = None,
    seed: int = 0,
    cfg_options: dict[str, Any] | None = None,
    keep: str = LAST,
    dry_run: bool = False,
    launcher: str = 'none',
) -> Adaptation:
    """Adapt a recognizer to images without labels: check, train, export, compare.

    Every step that is done is skipped when this is called again with the same arguments, and a
    training that was stopped is resumed.

    All arguments but the last two are those of :class:`~mmocr_da.adaptation.Request`.

    Args:
        checkpoint: None for the weights that are published for the config, see
            :mod:`mmocr_da.model_zoo`.
        dry_run: Stop after the checks.
        launcher: As in MMOCR's tools.

    Raises:
        ValueError: If an argument, the data or the checkpoint cannot be used.
    """
    request = Request(
        str(config),
        str(weights_for(config) if checkpoint is None else checkpoint),
        _as_tuple(target),
        _as_tuple(source),
        lexicon,
        fonts,
        work_dir,
        max_iters,
        batch_size,
        eval_labels,
        seed,
        dict(cfg_options or {}),
        keep,
    )
    join(launcher)
    request, result = on_main(lambda: _prepare(request))
    if dry_run:
        return result
    _train(request, result, launcher)
    return _finish(request, result) if is_main_process() else result


def _as_tuple(paths: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(paths, (str, Path)):
        return (str(paths),)
    return tuple(map(str, paths))


# ---------------------------------------------------------------------------- before the training


def _prepare(request: Request) -> tuple[Request, Adaptation]:
    """Write the config of the training and check all that it needs.

    Returns:
        The request with all settings of the config, and what was written.
    """
    recognizer = read_recognizer(request.config)
    check_checkpoint(request.checkpoint, 'checkpoint')
    name = output_name(recognizer)
    work_dir = Path(request.work_dir or osp.join('work_dirs', name))
    result = Adaptation(work_dir, work_dir / f'{name}.py', work_dir / CHECKS)
    _check_place(request, work_dir)
    labels_of_eval(request)
    target = DATASETS.build(target_dataset(request.target))
    record = dict(arguments=request.recorded(), contents=request.contents(), images=len(target))
    record = json.loads(_dumped(record))  # as it will be read
    aside = _initial_weights(request, recognizer.cfg)
    request = replace(request, cfg_options={**dict.fromkeys(aside), **request.cfg_options})
    if _is_known(record, result):
        print(result.checks.read_text(encoding='utf-8'), flush=True)
        return request, result
    inputs = [request.checkpoint, request.eval_labels or '']
    check_picture(str(work_dir / VIEWS), BY, inputs)
    check_outputs([work_dir / PAGE], BY)
    files = [result.config.name, RECORD, CHECKS]
    with output_files(work_dir, files, BY, inputs) as stage:
        dataset = _write(request, recognizer, target, stage, result, aside)
        (stage / RECORD).write_text(_dumped(record), encoding='utf-8')
    draw_views(dataset, work_dir / VIEWS, BY, seed=request.seed)
    print((work_dir / CHECKS).read_text(encoding='utf-8'), flush=True)
    return request, result


def _initial_weights(request: Request, cfg: Config) -> list[str]:
    """Settings that load weights which the checkpoint replaces, unless the user sets them."""
    return [
        path
        for path in _pretrained(cfg.model, 'model')
        if not any(f'{key}.'.startswith(f'{path}.') for key in request.cfg_options)
    ]


def _pretrained(node: Any, name: str) -> Iterator[str]:
    pairs = enumerate(node) if isinstance(node, (list, tuple)) else node.items()
    for key, value in pairs:
        path = f'{name}.{key}'
        if path == 'model.objectives' or not isinstance(value, (dict, list, tuple)):
            continue  # the adaptation has its own objectives
        if key == 'init_cfg':
            cfgs = [value] if isinstance(value, dict) else value
            if any(cfg.get('type') in ('Pretrained', PretrainedInit) for cfg in cfgs):
                yield path
        else:
            yield from _pretrained(value, path)


def _check_place(request: Request, work_dir: Path) -> None:
    """Check that a folder can be that of an adaptation.

    Raises:
        ValueError: If it cannot.
    """
    check_config_folder(work_dir, '--work-dir')
    for folder in filter(osp.isdir, request.target):
        if work_dir.resolve().is_relative_to(Path(folder).resolve()):
            raise ValueError(
                f'--work-dir must lie outside of the target, whose images it would add to, got '
                f'{work_dir} in {folder}'
            )


def _is_known(record: dict[str, Any], result: Adaptation) -> bool:
    """Whether what comes before the training has been written for the same arguments and files.

    Raises:
        ValueError: If the work directory belongs to other arguments, if its config was edited, or
            if files or images have changed since its training began.
    """
    old = _read_record(result)
    if old is None:
        return False
    arguments, before = record['arguments'], old.get('arguments', {})
    changes = [
        f'{key}: {before.get(key)!r} -> {arguments[key]!r}'
        for key in arguments
        if before.get(key) != arguments[key]
    ]
    if changes:
        raise ValueError(
            f'{result.work_dir} holds an adaptation with other arguments ({"; ".join(changes)}); '
            'choose another --work-dir, delete the folder, or repeat the earlier command'
        )
    if result.config.exists() and not is_own(result.config, BY):
        raise ValueError(
            f'{result.config} was edited. Train what it says by python tools/train.py '
            f'{result.config} --work-dir ANOTHER, or delete it to have it written again'
        )
    contents, before = record['contents'], old.get('contents', {})
    changes = [name for name in contents if not is_unchanged(before.get(name, ''), contents[name])]
    if old.get('images') != record['images']:
        changes.append(f'the target, {old.get("images")} -> {record["images"]} images')
    training = result.work_dir / TRAINING
    if changes and (training / FINISHED).exists():
        print_log(
            f'Changed since the training: {"; ".join(changes)}. What is in {result.work_dir} was '
            'made before; for a new adaptation choose another --work-dir',
            logger='current',
            level=logging.WARNING,
        )
    elif changes and training.exists():
        raise ValueError(
            f'{result.work_dir} holds a training that has begun, and since then these have '
            f'changed: {"; ".join(changes)}. Restore them to go on, choose another --work-dir, or '
            'delete the folder'
        )
    elif changes:
        return False
    files = RECORD, result.config.name, CHECKS, VIEWS
    return all(is_own(result.work_dir / file, BY) for file in files)


def _read_record(result: Adaptation) -> dict[str, Any] | None:
    record = result.work_dir / RECORD
    if not record.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(record.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(
            f'{record} cannot be read ({error}); delete the folder, or choose another --work-dir'
        ) from error
    return found


def _dumped(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, default=str) + '\n'


def _write(
    request: Request,
    recognizer: Recognizer,
    target: BaseDataset,
    stage: Path,
    result: Adaptation,
    aside: Sequence[str],
) -> Any:
    """Write config and checks; return the dataset of the training.

    Args:
        aside: Settings of initial weights that the request leaves out.
    """
    batch_size, remark = _batch_size(request, len(target))
    # None if no image can be read, which the checks say.
    bright_text = bright_text_share(target, request.seed)
    composition = compose(request, recognizer, batch_size, bright_text)
    file = stage / result.config.name
    file.write_text(composition.text, encoding='utf-8')
    cfg = load_config(str(file), str(result.work_dir / TRAINING), cfg_options=request.cfg_options)
    _check_length(request, cfg)
    check_config(cfg)
    report, dataset, model = check(cfg, recognizer.cfg, result.work_dir)
    model = model.to(get_device())
    report.warnings.extend(rehearse(cfg, model, dataset))
    choices = _with_settings(composition.choices, cfg)
    if aside:
        choices.append(f'initial weights are not loaded, as the checkpoint has all: {some(aside)}')
    report.lines.extend(('choices' if not i else '', c) for i, c in enumerate(choices))
    if remark:
        report.warnings.append(remark)
    report.lines.append(('time', _time(cfg, model)))
    report.lines.append(('config', str(result.config)))
    report.lines.append(('pictures', f'{result.work_dir / VIEWS}: what the recognizer sees'))
    title = f'Adaptation of {recognizer.name} to {", ".join(request.target)}'
    (stage / CHECKS).write_text(report.text(title), encoding='utf-8')
    return dataset


def _check_length(request: Request, cfg: Config) -> None:
    found = cfg.train_cfg.get('max_iters')
    if found != request.max_iters:
        raise ValueError(
            f'train_cfg.max_iters must be --max-iters, {request.max_iters}, which the schedule, '
            f'the validations and the checkpoints follow, got {found} by --cfg-options; give '
            '--max-iters instead'
        )


def _with_settings(choices: Sequence[str], cfg: Config) -> list[str]:
    """The choices, with the user's settings in place of what these replace."""
    optimizer, rate = cfg.optim_wrapper.optimizer, cfg.optim_wrapper.optimizer.get('lr')
    rate = f'{rate:g}' if isinstance(rate, (int, float)) else rate
    settings = {
        'learning rate': f'{rate} of {optimizer.type}',
        'batch size': f'{cfg.train_dataloader.batch_size}',
    }
    found = []
    for choice in choices:
        name, _, value = choice.partition(': ')
        setting = settings.get(name)
        if setting and not value.startswith((f'{setting} ', f'{setting},')):
            choice = f'{name}: {setting} (as you set it)'
        found.append(choice)
    return found


def _time(cfg: Config, model: BaseModel) -> str:
    if is_distributed():  # a step needs all processes
        return 'see "eta" in the log of the training'
    seconds = seconds_per_step(cfg, model)
    iterations = cfg.train_cfg.max_iters
    total = seconds * iterations
    end = datetime.now() + timedelta(seconds=total)
    return (
        f'{seconds:.2g} s for a step on {get_device()}: {iterations:,} iterations take '
        f'about {duration(total)}, until {end:%H:%M on %d %B} if they start now'
    )


def _batch_size(request: Request, number: int) -> tuple[int, str]:
    """The batch size for a number of target images, and what to say about it."""
    wanted = request.batch_size or default_batch_size()
    most = number if request.source == (NONE,) else 2 * number
    if wanted <= most:
        return wanted, ''
    return most, f'batches have {most} images instead of {wanted}, as the target has {number}'


# ---------------------------------------------------------------------------- the training


def _train(request: Request, result: Adaptation, launcher: str) -> None:
    folder = result.work_dir / TRAINING
    done = folder / FINISHED
    if done.exists():
        return
    cfg = load_config(str(result.config), str(folder), launcher, request.cfg_options)
    set_resume(cfg, 'auto')
    train(cfg)
    if is_main_process():
        with whole_file(done) as file:
            file.write_text(f'{time.strftime("%Y-%m-%d %H:%M")}\n', encoding='utf-8')


# ---------------------------------------------------------------------------- after the training


def _finish(request: Request, result: Adaptation) -> Adaptation:
    """Export the checkpoint that is kept, compare its predictions, write the page."""
    training, exported = result.work_dir / TRAINING, result.work_dir / EXPORTED
    name = result.config.stem
    files = exported / f'{name}.py', exported / f'{name}.pth'
    if not all(file.is_file() for file in files):
        cfg = load_config(str(result.config), cfg_options=request.cfg_options)
        export(cfg, str(_kept(request.keep, training)), str(exported), name)
    page = result.work_dir / PAGE
    change = None
    record = _read_record(result) or {}
    # Labels may come later than the training.
    new_labels = request.evaluated and request.evaluated != record.get('evaluated')
    if not is_own(page, BY) or new_labels:
        change, text = compare(request, *files, result.work_dir)
        print(text)
        if new_labels:
            with output_file(result.work_dir / RECORD, BY) as file:
                record['evaluated'] = request.evaluated
                file.write_text(_dumped(record), encoding='utf-8')
    print(f'This page: {page}')
    return replace(
        result, exported_config=files[0], exported_checkpoint=files[1], page=page, change=change
    )


def _kept(keep: str, training: Path) -> Path:
    """Return the last checkpoint of a training, or the best one by a score."""
    # Only the name: the path in the file may belong to another machine or folder.
    last = training / Path((training / 'last_checkpoint').read_text().strip()).name
    if keep == LAST:
        return last
    best = [*training.glob(f'best_label_free_{keep}_iter_*.pth')]
    if not best:
        print_log(
            f'--keep {keep}: no validation had this score, so the last checkpoint is exported',
            logger='current',
            level=logging.WARNING,
        )
        return last
    return max(best, key=lambda file: int(file.stem.rpartition('_')[2]))
