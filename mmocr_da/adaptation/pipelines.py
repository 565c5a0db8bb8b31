"""Reads the pipelines of a recognizer's config: what loads, augments and prepares an image."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmengine.config import Config

#: Transforms that load an image.
LOADERS = ('LoadImageFromFile', 'LoadImageFromNDArray')
LABELS = 'LoadOCRAnnotations'
PACK = 'PackTextRecogInputs'
#: Transforms that give an image the size that the recognizer needs.
SIZES = ('Resize', 'RescaleToHeight', 'PadToWidth')
HOW_TO_SET = (
    'Give a config whose train_pipeline is [LoadImageFromFile, LoadOCRAnnotations, augmentation, '
    'Resize, PackTextRecogInputs], in this order; only the first and the last are needed'
)


class Pipelines(NamedTuple):
    """The parts of a recognizer's pipelines, as expressions for a config that inherits from it."""

    #: Transforms that load image and label, for training.
    load: str
    #: Transforms after that, without the config's own augmentation: size and packing.
    prepare: str
    #: The same as in testing; None if images get different sizes there, so that a batch of them
    #: would be padded.
    prepare_as_tested: str | None
    #: Names of transforms of the config that are left out.
    left_out: list[str]
    #: Sizes of prepared images in training, (width, height); None if the config does not say.
    size: tuple[int, int] | None
    #: All transforms of ``load`` and ``prepare``.
    transforms: list[dict[str, Any]]


def read_pipelines(cfg: Config) -> Pipelines:
    """Find the parts of the pipelines.

    A transform between loading and packing belongs to the preparation if it sets the size, or if
    the test pipeline has the same one. Otherwise it is an augmentation, which is left out.

    Raises:
        ValueError: If a pipeline has another form.
    """
    test, test_name = _pipeline_of(cfg, 'test')
    train, train_name = (test, test_name)
    if _has_train_pipeline(cfg):
        train, train_name = _pipeline_of(cfg, 'train')
    _check(train, train_name)
    _check(test, test_name)
    tested = [_without_scope(step) for step in test]
    load = [i for i, step in enumerate(train) if type_of(step) in (*LOADERS, LABELS)]
    prepare = [
        i
        for i, step in enumerate(train)
        if i not in load and (type_of(step) in (*SIZES, PACK) or _without_scope(step) in tested)
    ]
    as_tested = [i for i, step in enumerate(test) if type_of(step) not in (*LOADERS, LABELS)]
    return Pipelines(
        _pick(train_name, load, len(train)),
        _pick(train_name, prepare, len(train)),
        _pick(test_name, as_tested, len(test)) if _size_of(test) else None,
        [type_of(step) for i, step in enumerate(train) if i not in load + prepare],
        _size_of(train),
        [train[i] for i in load + prepare],
    )


def type_of(step: dict[str, Any]) -> str:
    """Name of a transform without the name of its package."""
    return str(step.get('type')).removeprefix('mmocr.')


def is_loader(step: dict[str, Any]) -> bool:
    """Whether a transform loads the image."""
    return type_of(step) in LOADERS


def _pipeline_of(cfg: Config, kind: str) -> tuple[list[dict[str, Any]], str]:
    """The pipeline of training or testing, and an expression for it."""
    loader = f'{kind}_dataloader'
    dataset = (cfg.get(loader) or {}).get('dataset')
    found = _find(dataset, f'_base_.{loader}.dataset') if dataset else None
    if found is None:
        raise ValueError(
            f'a recognizer needs a pipeline in {loader}.dataset of its config, got none. '
            f'{HOW_TO_SET}'
        )
    pipeline, name = found
    if cfg.get(f'{kind}_pipeline') == pipeline:
        name = f'_base_.{kind}_pipeline'
    return list(pipeline), name


def _has_train_pipeline(cfg: Config) -> bool:
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    return bool(dataset) and _find(dataset, '') is not None


def _find(node: Any, name: str) -> tuple[Sequence[dict[str, Any]], str] | None:
    """The first pipeline of a dataset or of what it wraps; the source's where there are two."""
    if isinstance(node, (list, tuple)):
        parts = ((part, f'{name}[{i}]') for i, part in enumerate(node))
    elif not isinstance(node, dict):
        return None
    elif node.get('pipeline'):
        return node['pipeline'], f'{name}.pipeline'
    else:
        parts = (
            (node[key], f'{name}.{key}') for key in ('source', 'datasets', 'dataset') if key in node
        )
    return next((found for found in (_find(*part) for part in parts) if found), None)


def _check(pipeline: Sequence[dict[str, Any]], name: str) -> None:
    types = [type_of(step) for step in pipeline]
    if types[0] not in LOADERS or types[-1] != PACK:
        raise ValueError(
            f'a pipeline of a recognizer must begin with LoadImageFromFile and end with {PACK}, '
            f'got {name.removeprefix("_base_.")} = [{", ".join(types)}]. {HOW_TO_SET}'
        )


def _size_of(pipeline: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
    """Width and height that all images get; None if they differ."""
    size: tuple[int, int] | None = None
    height = 0
    for step in pipeline:
        kind = type_of(step)
        if kind == 'Resize':
            scale = step.get('scale')
            size = None if step.get('keep_ratio') or not scale else (scale[0], scale[1])
        elif kind == 'RescaleToHeight':
            size, height = None, step['height']
        elif kind == 'PadToWidth' and height:
            size = step['width'], height
    return size


def _without_scope(step: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dict(step).items() if key != '_scope_'}


def _pick(name: str, indexes: Sequence[int], count: int) -> str:
    """An expression for some items of a list.

    >>> _pick('x', [1, 2], 3), _pick('x', [0, 1], 3), _pick('x', [0, 2], 3)
    ('x[1:]', 'x[:2]', '[x[0], x[2]]')
    """
    first, last = indexes[0], indexes[-1]
    if list(indexes) != list(range(first, last + 1)):
        return f'[{", ".join(f"{name}[{i}]" for i in indexes)}]'
    return f'{name}[{first or ""}:{"" if last + 1 == count else last + 1}]'
