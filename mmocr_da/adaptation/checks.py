"""Checks an adaptation before time is spent on it, and reports what it found on a page."""

import copy
import os.path as osp
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.registry import DATASETS, MODELS

from mmocr_da.arguments import some
from mmocr_da.datasets import RenderedWords, TwoDomainDataset
from mmocr_da.datasets.building import places
from mmocr_da.datasets.image_loading import BLANK, LoadImageFromFile
from mmocr_da.datasets.label_texts import path_of, unread_labels
from mmocr_da.datasets.lazy_list import stratified
from mmocr_da.datasets.notes import collect_notes, printable
from mmocr_da.datasets.seeded_dataset import why_broken
from mmocr_da.engine.checkpoint_fit import check_whole, only_for_training
from mmocr_da.engine.checkpoints import check_finite, weights_of
from mmocr_da.engine.dictionary_check import check_dictionary
from mmocr_da.engine.label_check import check_labels
from mmocr_da.engine.model_parts import label_loss

from .pipelines import is_loader, read_pipelines

#: Images of each domain that are loaded at most to look at them.
LOOKED_AT = 1000
#: Shares of source images that cannot be read from which it is a warning, and above which an error.
SOME_BROKEN, MOST_BROKEN = 0.02, 0.5
#: With fewer target images, little can be learned from them.
FEW = 200
#: Images that are so much wider than the recognizer's are squeezed to less than half their width.
WIDE = 2.0
#: Copies of the weights in a checkpoint (recognizer, teacher, two of an optimizer), and checkpoints
#: on the disk at a time.
COPIES, KEPT = 4, 4


class Report(NamedTuple):
    """What the checks found."""

    #: ``(subject, finding)``.
    lines: list[tuple[str, str]]
    warnings: list[str]

    def text(self, title: str) -> str:
        """The page."""
        rows = [f'{subject:<12}{printable(finding)}' for subject, finding in self.lines]
        rows += [f'WARNING     {printable(warning)}' for warning in self.warnings]
        return '\n'.join([title, '', *rows, ''])


def check(cfg: Config, recognizer: Config, work_dir: Path) -> tuple[Report, Any, BaseModel]:
    """Check the data, the checkpoint and the disk of a training.

    Args:
        cfg: Config of the training.
        recognizer: Config of the recognizer before it.
        work_dir: Where checkpoints are written to.

    Returns:
        The report, the dataset and the model with the weights of the checkpoint.

    Raises:
        ValueError: If the training cannot work.
    """
    report = Report([], [])
    model = _check_checkpoint(cfg, report)
    dataset = DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset))
    dataset.full_init()
    _check_target(dataset, recognizer, report)
    _check_source(dataset, model, report)
    _check_disk(model, work_dir, report)
    return report, dataset, model


def _check_checkpoint(cfg: Config, report: Report) -> BaseModel:
    path = cfg.load_from
    check_dictionary(cfg, path)
    checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu')
    model = MODELS.build(copy.deepcopy(cfg.model))
    check_whole(model, checkpoint, path)
    weights = weights_of(checkpoint)
    check_finite(weights, model, path)
    known = model.state_dict()
    surplus = [key for key in weights if key not in known]
    unused = [key for key in surplus if not only_for_training(key)]
    count = sum(p.numel() for key, p in model.named_parameters() if not only_for_training(key))
    report.lines.append(('checkpoint', f'fits: {count / 1e6:.1f} million weights, {path}'))
    if len(unused) < len(surplus):
        report.lines.append(
            ('', 'it is one of a training: the start is its recognizer, without what was beside it')
        )
    if unused:
        report.warnings.append(
            f'the checkpoint has {len(unused)} weights that the recognizer of the config lacks: '
            f'{some(unused, 3)}; is it the config that it was trained with?'
        )
    return model


def _check_target(dataset: TwoDomainDataset, recognizer: Config, report: Report) -> None:
    parts = dataset.datasets[dataset.num_source_datasets :]
    pipelines = read_pipelines(recognizer)
    loader = next(step for step in pipelines.transforms if is_loader(step))
    color_type = loader.get('color_type', 'color')
    sizes, broken, blank = _look_at(parts, color_type)
    total, looked = dataset.domain_sizes[1], len(sizes) + len(broken)
    if not sizes:
        raise ValueError(
            f'target must hold images that can be read, got {total}, of which {looked} were tried '
            f'and none is an image: {some(broken, 3)}'
        )
    part = '' if looked == total else f'; of {looked:,} of them, spread evenly'
    finding = f'{total:,} images{part}: {len(broken)} cannot be read, {len(blank)} of one colour'
    report.lines.append(('target', finding))
    for what, paths in (('cannot be read', broken), ('show one colour only', blank)):
        if paths:
            report.warnings.append(f'{len(paths)} target images {what}: {some(paths, 3)}')
    width, height = np.median(np.array(sizes), 0)
    aspects = np.array([w / h for w, h in sizes])
    finding = f'median size {width:.0f} x {height:.0f}, median width / height '
    finding += f'{np.median(aspects):.1f}'
    if pipelines.size is not None:
        own = pipelines.size[0] / pipelines.size[1]
        share = float((aspects > WIDE * own).mean())
        finding += f'; the recognizer gets {pipelines.size[0]} x {pipelines.size[1]}'
        if share > 0.02:
            report.warnings.append(
                f'{share:.0%} of the target images are more than {WIDE:g} times as wide as the '
                'recognizer expects and are squeezed: it may need images of single words'
            )
    report.lines.append(('', finding))
    tall = float((aspects < 0.5).mean())
    if tall > 0.02:
        report.warnings.append(
            f'{tall:.0%} of the target images are more than twice as high as wide: vertical words '
            'must be rotated first'
        )
    if total < FEW:
        report.warnings.append(
            f'there are only {total} target images: several hundred or more are needed to learn '
            'from'
        )


def _look_at(
    parts: Sequence[Any], color_type: str
) -> tuple[list[tuple[int, int]], list[str], list[str]]:
    """Load some images, spread evenly.

    Returns:
        Sizes ``(width, height)``, paths of images that cannot be read, and of those that show one
        colour only.
    """
    total = sum(map(len, parts))
    chosen = map(int, np.linspace(0, total - 1, min(LOOKED_AT, total)))
    loaders = {}
    for part in parts:
        probe = copy.copy(part)
        probe.pipeline = LoadImageFromFile(color_type=color_type)
        loaders[id(part)] = probe
    sizes, broken, blank = [], [], []
    for part, i in places(parts, chosen):
        with collect_notes() as notes:
            try:
                height, width = loaders[id(part)].prepare_data(i)['img_shape'][:2]
                sizes.append((width, height))
            except Exception:  # whatever a decoder raises for a broken file
                broken.append(str(part.get_data_info(i)['img_path']))
        blank += [path for kind, path in notes if kind == BLANK]
    return sizes, broken, blank


class _Messages:
    """Collects warnings in place of a logger."""

    def __init__(self, messages: list[str]) -> None:
        self.warning = messages.append


def _check_source(dataset: TwoDomainDataset, model: BaseModel, report: Report) -> None:
    parts = dataset.datasets[: dataset.num_source_datasets]
    if not parts:
        report.lines.append(('source', 'none: the training sees the target alone'))
        return
    number, drawn = dataset.domain_sizes[0], [p for p in parts if isinstance(p, RenderedWords)]
    if drawn:
        words = sum(len(part.words) for part in drawn)
        kinds = 'random strings; --lexicon gives words'
        if words:
            kinds = f'of a lexicon with {words:,} usable words'
        count = sum(map(len, drawn))
        report.lines.append(('source', f'{count:,} rendered images, {kinds}'))
        if len(drawn) == len(parts):
            return
        number -= count
    labelled = [part for part in parts if not isinstance(part, RenderedWords)]
    images = _check_source_images(labelled, report)
    module_loss = label_loss(model)
    left_out = 0
    if module_loss is not None:
        left_out = check_labels(dataset, module_loss, _Messages(report.warnings))
    unread = unread_labels(dataset)
    finding = f'{number:,} labelled images, {left_out:,} of '
    finding += f'{number - unread:,}, spread evenly,' if unread else 'them'
    finding += ' with unusable labels'
    report.lines.append(('' if drawn else 'source', finding))
    report.lines.append(('', images))


def _check_source_images(parts: Sequence[Any], report: Report) -> str:
    """Load some images of the source as the training does; return what was found."""
    total = sum(map(len, parts))
    chosen = stratified(total, LOOKED_AT)
    looked = len(chosen)
    broken = [
        path_of(part, i) for part, i in places(parts, chosen) if why_broken(part, i) is not None
    ]
    if len(broken) > MOST_BROKEN * looked:
        raise ValueError(
            f'source must hold images that can be read, got {total:,}, of which {looked:,} were '
            f'tried and {len(broken):,} cannot be read: {some(broken, 3)}; bring them to these '
            'paths, correct the paths in the labels, or choose another --source'
        )
    if len(broken) >= SOME_BROKEN * looked:
        report.warnings.append(
            f'{len(broken):,} of {looked:,} source images cannot be read, and others take their '
            f'place: {some(broken, 3)}'
        )
    of = f'{looked:,}, spread evenly,' if looked < total else 'them'
    return f'{len(broken):,} of {of} cannot be read'


def _check_disk(model: BaseModel, work_dir: Path, report: Report) -> None:
    size = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    needed = size * COPIES * KEPT
    existing = next(path for path in (work_dir, *work_dir.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValueError(
            f'checkpoints need about {needed / 1e9:.1f} GB in {osp.abspath(work_dir)}, got '
            f'{free / 1e9:.1f} GB of free disk; free some, or choose another --work-dir'
        )
    report.lines.append(
        ('disk', f'{free / 1e9:.1f} GB free, about {needed / 1e9:.2g} GB needed for checkpoints')
    )
