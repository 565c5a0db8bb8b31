"""Checks that the weights of a checkpoint fit a model: MMEngine skips weights that do not."""

import os.path as osp
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mmocr_da.arguments import some

from .checkpoints import set_versions, versions_of, weights_of

#: Parts that only training has. The checkpoint of a plain model does not have them.
TRAINING_PARTS = ('objectives', 'projection', 'mapping', 'contrastive_loss')
#: A buffer of batch norms; older checkpoints lack it, and nothing is computed with it.
COUNTER = 'num_batches_tracked'
#: Buffers of norm layers that a training changes; other buffers of recognizers are constants, which
#: a model computes when it is built.
STATISTICS = ('running_mean', 'running_var')


class Fit(NamedTuple):
    """The keys of a checkpoint and a model that do not fit each other."""

    #: Keys of the model without a weight that fits, including weights of another shape.
    lacking: list[str]
    #: Keys in both, with another shape.
    misfits: list[str]
    #: Keys of the checkpoint that the model does not know.
    unused: list[str]


def load_fitting(model: nn.Module, weights: dict[str, Tensor]) -> Fit:
    """Load the weights that fit and return the keys of the rest.

    The weights are loaded to find out which fit, because layers convert keys of older versions.
    """
    ours = model.state_dict()
    misfits = [
        key for key, value in weights.items() if key in ours and value.shape != ours[key].shape
    ]
    fitting = OrderedDict((key, weights[key]) for key in weights if key not in misfits)
    set_versions(fitting, getattr(weights, '_metadata', None))
    lacking, unused = model.load_state_dict(fitting, strict=False)
    lacking = [key for key in lacking if not key.endswith(COUNTER)]
    return Fit(lacking, misfits, unused)


def check_start(
    model: nn.Module,
    checkpoint: dict,
    source: str,
    new_parts: str | Sequence[str] = (),
    module: str = '',
) -> list[str]:
    """Check that training starts from the weights that the user expects.

    For each part of the model (backbone, encoder, decoder, ...) at least half of the weights must
    be in the checkpoint, and none in another shape. Parts that only training has are left out. A
    checkpoint of a part of the model is fine if the model uses all of it, or if it names its
    modules, as a file of ``EncoderExportHook`` does.

    Args:
        source: Name of the checkpoint for messages: the setting and the path.
        new_parts: Modules that are meant to start without the checkpoint.
        module: Name of the module that the checkpoint belongs to; the model itself by default.

    Returns:
        Keys that stay at their initial weights, except keys of ``new_parts``.

    Raises:
        ValueError: If the checkpoint does not fit.
    """
    new_parts = as_names(model, new_parts)
    weights = _of_module(weights_of(checkpoint), module)
    fit = load_fitting(model, weights)
    keys = [
        key
        for key in model.state_dict()
        if not only_for_training(key) and not key.endswith(COUNTER)
    ]
    _check_gates(weights, fit, source)
    lacking = {*fit.lacking, *fit.misfits}
    found_any = len(weights) > len(fit.misfits) + len(fit.unused)
    modules = [module] if module else (checkpoint.get('meta') or {}).get('modules')
    wanted = [key for key in keys if not is_within(key, new_parts)]
    if modules:
        wanted = [key for key in wanted if is_within(key, modules)]
    elif found_any and not fit.misfits and all(map(only_for_training, fit.unused)):
        wanted = []
    unfit = {}
    for part, of_part in by_part(keys, wanted).items():
        missing = [key for key in of_part if key in lacking]
        if 2 * len(missing) > len(of_part) or not {*missing}.isdisjoint(fit.misfits):
            unfit[part] = f'{len(of_part) - len(missing)} of {len(of_part)} of {part}'
    if unfit or keys and not found_any:
        first = [key for key in wanted or keys if key in lacking]
        raise ValueError(
            f'{source} must have the weights of the {type(model).__name__}, got '
            f'{", ".join(unfit.values()) or "none of them"}: '
            f'{_pair(model, weights, first, fit)}{_hint(model, checkpoint, module)}. If these '
            f'parts are meant to start without it, set new_parts={list(unfit)} in the config'
        )
    return [key for key in wanted if key in lacking]


def check_whole(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Load the weights of a model that will be tested, and check that the checkpoint has them all.

    Parts that only training has and constants may be missing.

    Args:
        path: Of the checkpoint, for messages.

    Raises:
        ValueError: If it lacks a weight, or the running statistics of a norm layer.
    """
    source, kind = f'the checkpoint {path!r}', type(model).__name__
    weights = weights_of(checkpoint)
    fit = load_fitting(model, weights)
    _check_gates(weights, fit, source)
    learned = {name for name, _ in model.named_parameters()}
    needed = [key for key in fit.lacking if not only_for_training(key)]
    if lacking := [key for key in needed if key in learned]:
        hint = _hint(model, checkpoint, path=path)
        raise ValueError(
            f'{source} must have all weights of the {kind}, got one without {len(lacking)} of '
            f'{len(learned)}, which would be random: {_pair(model, weights, lacking, fit)}'
            f'{hint or "; give the config that the checkpoint was trained with"}'
        )
    if lacking := [key for key in needed if key.endswith(STATISTICS)]:
        raise ValueError(
            f'{source} must have the running statistics of the norm layers of the {kind}, got one '
            f'without {len(lacking)} of them: {_pair(model, weights, lacking, fit)}. Save '
            'model.state_dict(), which has them, unlike model.named_parameters(), and give the '
            'config that the checkpoint was trained with'
        )


def _check_gates(weights: dict[str, Tensor], fit: Fit, source: str) -> None:
    """Check that no gate of batch-instance norm is lost that lets instance norm through."""
    gates = [key for key in fit.unused if key.endswith('.rho') and not only_for_training(key)]
    if open_ones := [key for key in gates if (weights[key] != 1).any()]:
        raise ValueError(
            f'{source} has batch-instance norm ({some(open_ones, 2)}), and the model has batch '
            "norm in its place: it would compute something else. Set type='mmocr_da.WithBIN' and "
            'of= the type of the model'
        )


def predictors_left_behind(model: nn.Module, checkpoint: dict) -> list[str]:
    """Name what a checkpoint of a training may have been tested with and a model lacks."""
    own = model.state_dict()
    found = []
    for key in weights_of(checkpoint):
        names = key.split('.')
        if names[0] == 'objectives' and key not in own:
            if 'teacher' in names:
                found.append(f'the teacher of {names[1]}')
            elif names[1] == 'symnet':
                found.append('the classifier of the target of symnet')
    return [*dict.fromkeys(found)]


def check_pretrained(model: nn.Module, new_parts: str | Sequence[str] = ()) -> None:
    """Call :func:`check_start` for each local file of ``init_cfg=dict(type='Pretrained', ...)``."""
    for name, module in model.named_modules():
        cfgs = getattr(module, 'init_cfg', None) or []
        for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs:
            path = str(cfg.get('checkpoint'))
            if cfg.get('type') not in ('Pretrained', 'PretrainedInit') or '://' in path:
                continue
            checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
            if cfg.get('prefix') is not None:
                checkpoint = _without_prefix(checkpoint, cfg['prefix'].rstrip('.') + '.')
            where = f'the init_cfg of {name}' if name else 'model.init_cfg'
            check_start(model, checkpoint, f'{where} ({path!r})', new_parts, name)


def as_names(model: nn.Module, new_parts: str | Sequence[str]) -> list[str]:
    """Return ``new_parts`` of a config as a list.

    Raises:
        ValueError: If one of them names no module of the model.
    """
    names = [new_parts] if isinstance(new_parts, str) else list(new_parts or ())
    keys = model.state_dict()
    for name in names:
        if not isinstance(name, str) or not any(is_within(key, [name]) for key in keys):
            raise ValueError(
                f'new_parts must name modules of the {type(model).__name__}, got '
                f'{name!r}; its parts are {", ".join(by_part(list(keys)))}'
            )
    return names


def is_within(key: str, names: Sequence[str]) -> bool:
    """Whether a key names one of these modules or something within one."""
    return any(f'{key}.'.startswith(f'{name}.') for name in names)


def only_for_training(key: str) -> bool:
    """Whether a weight belongs to an objective or a loss.

    >>> only_for_training('objectives.0.weight'), only_for_training('head.loss_bbox.net.bias')
    (True, True)
    >>> only_for_training('decoder.weight')
    False
    """
    names = key.split('.')
    return names[0] in TRAINING_PARTS or any(
        name == 'module_loss' or name.startswith('loss_') for name in names[:-1]
    )


def by_part(keys: Sequence[str], wanted: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Group keys by the part of the model; a wrapper around the model is not a part.

    >>> by_part(['wrapped.backbone.a', 'wrapped.backbone.b', 'wrapped.neck.a'])
    {'wrapped.backbone': ['wrapped.backbone.a', 'wrapped.backbone.b'], 'wrapped.neck':
     ['wrapped.neck.a']}
    """
    depth = 1
    while len({tuple(key.split('.')[:depth]) for key in keys}) == 1 and all(
        key.count('.') > depth for key in keys
    ):
        depth += 1
    parts: dict[str, list[str]] = {}
    for key in keys if wanted is None else wanted:
        parts.setdefault('.'.join(key.split('.')[:depth]), []).append(key)
    return parts


def _of_module(weights: dict[str, Tensor], module: str) -> dict[str, Tensor]:
    """Rename the weights of a module to their keys in the whole model."""
    if not module:
        return weights
    named = OrderedDict((f'{module}.{key}', value) for key, value in weights.items())
    versions = versions_of(weights).items()
    set_versions(named, OrderedDict((f'{module}.{key}'.rstrip('.'), v) for key, v in versions))
    return named


def _without_prefix(checkpoint: dict, prefix: str) -> dict:
    weights = checkpoint.get('state_dict', checkpoint)
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def _pair(model: nn.Module, weights: dict[str, Tensor], lacking: Sequence[str], fit: Fit) -> str:
    """Name a key of each side, or the two shapes of a common key."""
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    misfits = [key for key in lacking if key in fit.misfits]
    if misfits:
        key = misfits[0]
        more = f', also {some(misfits[1:], 3)}' if misfits[1:] else ''
        return (
            f'{key} is {shapes[key]} in the model and {tuple(weights[key].shape)} in the '
            f'checkpoint{more}'
        )
    theirs = next(
        (f'{key} {tuple(weights[key].shape)}' for key in sorted(fit.unused, key=only_for_training)),
        'no further weight',
    )
    return f'the model has {lacking[0]} {shapes[lacking[0]]}, the checkpoint has {theirs}'


def _hint(model: nn.Module, checkpoint: dict, module: str = '', path: str = '') -> str:
    """How to load a checkpoint if its keys have another prefix than the keys of the model.

    With a ``path``, the checkpoint of a whole model is meant, which no ``init_cfg`` can load.
    """
    nested = [
        key
        for key, value in checkpoint.items()
        if isinstance(value, dict) and any(isinstance(v, Tensor) for v in value.values())
    ]
    if 'state_dict' not in checkpoint and nested:
        return (
            f'; its weights are under {" and ".join(map(repr, nested))}, where MMEngine looks '
            "under 'state_dict': save them again, "
            f'torch.save(dict(state_dict=checkpoint[{nested[0]!r}]), ...)'
        )
    raw = {
        str(key): value
        for key, value in checkpoint.get('state_dict', checkpoint).items()
        if isinstance(value, Tensor)
    }
    ours = model.get_submodule(module).state_dict()
    theirs = _common_prefix(raw, ours)
    if theirs and path:
        renamed = f'{osp.splitext(osp.basename(path))[0]}_renamed.pth'
        load = f"c = torch.load({path!r}, 'cpu', weights_only=True); c = c.get('state_dict', c)"
        weights = f'{{k[{len(theirs)}:]: v for k, v in c.items() if k.startswith({theirs!r})}}'
        return (
            f'; without {theirs!r} its keys are the keys of the model: rename them, python -c '
            f'"import mmocr_da, torch; {load}; torch.save(dict(state_dict={weights}), '
            f'{renamed!r})", and give {renamed}'
        )
    if theirs:
        return (
            f'; without {theirs!r} its keys are the keys of the model: load it by '
            f"{'.'.join(filter(None, ('model', module)))}.init_cfg=dict(type='Pretrained', "
            f'checkpoint=..., prefix={theirs!r}){"" if module else ", without load_from"}'
        )
    here = None if path else _common_prefix(ours, raw)
    if here:
        return (
            f'; it has the weights of {here[:-1]!r} alone: load it by init_cfg=dict('
            "type='Pretrained', checkpoint=...) of this part, without load_from"
        )
    return ''


def _common_prefix(longer: dict[str, Tensor], shorter: dict[str, Tensor]) -> str | None:
    """The prefix of most keys of ``longer`` that end like a key of ``shorter``."""
    prefixes: Counter[str] = Counter()
    for key, value in longer.items():
        names = key.split('.')
        for i in range(1, len(names)):
            other = shorter.get('.'.join(names[i:]))
            if other is not None and other.shape == value.shape:
                prefixes['.'.join(names[:i]) + '.'] += 1
                break
    prefix, count = prefixes.most_common(1)[0] if prefixes else (None, 0)
    return prefix if 2 * count > min(len(shorter), len(longer)) else None
