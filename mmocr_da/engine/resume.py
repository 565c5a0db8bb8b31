"""Checks that a resumed run has the model and the settings that wrote its checkpoint."""

import ast
import logging
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch import nn

from mmocr_da.arguments import some
from mmocr_da.renamed import ARGUMENTS, CLASSES

from .checkpoint_fit import load_fitting
from .checkpoints import weights_of

#: Settings that the checkpoint replaces, because it holds their state.
_IN_CHECKPOINT = (
    'optim_wrapper.optimizer',
    'optim_wrapper.paramwise_cfg',
    'optim_wrapper.loss_scale',
    'param_scheduler',
)
#: Settings that do not change a resumed run: they affect its speed, or only its first start.
_WITHOUT_EFFECT = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'init_cfg')
#: Settings of the training outside of data, model and optimizer.
_OF_TRAINING = ('sync_bn',)
#: Hooks that change what is trained, or which weights are saved.
_HOOKS = ('EMAHook', 'FreezeHook', 'AdaBNHook')
_MISSING = object()

Change = tuple[str, Any, Any]


def check_resume(model: nn.Module, cfg: Config, checkpoint: dict, path: str) -> None:
    """Check a run that will be resumed; warn if its settings have changed.

    Args:
        cfg: The config of the resumed run.

    Raises:
        ValueError: If it cannot be resumed with this model, optimizer or length.
    """
    changes = changed_settings(checkpoint, cfg)
    _check_model(model, checkpoint, path, changes)
    _check_state(checkpoint, cfg, path)
    _check_optimizer(changes, path)
    _check_length(checkpoint, cfg, path)
    for name, old, new in changes:
        if name in ('train_cfg.max_iters', 'train_cfg.max_epochs'):
            _warn(
                f'{name} is {new}, and was {old} in {path}. Schedules of the learning rate without '
                'an end of their own keep the old one, and the rate stays where they end; '
                f'schedules of objectives follow the new one. {_go_on(path)}'
            )
    ignored = [c for c in changes if c[0].startswith(_IN_CHECKPOINT)]
    if ignored:
        _warn(
            f'--resume takes the optimizer and its schedules from {path}, so that these changes '
            f'of the config have NO effect: {_listed(ignored)}. {_go_on(path)}'
        )
    others = [
        c
        for c in changes
        if c not in ignored
        and c[0].startswith(('train_dataloader', 'model.', 'optim_wrapper.', *_OF_TRAINING))
        and c[0].split('.')[-1] not in _WITHOUT_EFFECT
    ]
    others += [(f'hook {name}', *sides) for name, sides in _changed_hooks(changes).items()]
    processes = (checkpoint.get('meta') or {}).get('processes')
    if processes not in (None, get_world_size()):
        others.append(('number of processes', processes, get_world_size()))
    if others:
        _warn(
            'these settings differ from the settings in the checkpoint, so the resumed run '
            f'is not equal to an uninterrupted one: {_listed(others)}'
        )


def _changed_hooks(changes: list[Change]) -> dict[str, tuple[Any, Any]]:
    """Hooks of the training that are on one side only, by their names."""
    hooks = [change for change in changes if change[0].startswith('custom_hooks')]
    found: dict[str, tuple[Any, Any]] = {}
    for name in _HOOKS:
        old, new = (any(name in str(change[i]) for change in hooks) for i in (1, 2))
        if old != new:
            found[name] = ('there' if old else _MISSING, 'there' if new else _MISSING)
    return found


def _check_state(checkpoint: dict, cfg: Config, path: str) -> None:
    wanted = ['optimizer'] + ['param_schedulers'] * bool(cfg.get('param_scheduler'))
    missing = [key for key in wanted if key not in checkpoint]
    if missing:
        raise ValueError(
            f'--resume needs a checkpoint with the state of the training, got {path!r} without '
            f'{" and ".join(missing)}, as best_*.pth are: resume from iter_*.pth or epoch_*.pth. '
            f'{_go_on(path)}'
        )


def changed_settings(checkpoint: dict, cfg: Config) -> list[Change]:
    """List ``(setting, value in the checkpoint, value now)`` of all settings that differ.

    The checkpoint's config is the text that MMEngine saves with it; it is parsed, not run. The list
    is empty if there is no such text, or if one of the configs is not plain data.
    """
    try:
        old, new = (
            _by_type(read_config(text)) for text in (checkpoint['meta']['cfg'], cfg.pretty_text)
        )
    except (AttributeError, KeyError, TypeError, SyntaxError, ValueError):
        return []
    return list(_differences(old, new))


def _by_type(settings: dict[str, Any]) -> dict[str, Any]:
    """Sort objectives by type, as their order in a config changes nothing."""
    objectives = (settings.get('model') or {}).get('objectives')
    if isinstance(objectives, list):
        objectives.sort(key=lambda cfg: str(cfg.get('type')))
    return settings


def read_config(text: str) -> dict[str, Any]:
    """Parse the settings in the text of a config without running it: it may be untrusted.

    >>> read_config("model = dict(type='CRNN', layers=[1, -2])")
    {'model': {'type': 'CRNN', 'layers': [1, -2]}}
    """
    return {
        node.targets[0].id: _value(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict':
        value: dict = {}
        for argument in node.args:  # `dict({...})`, as MMEngine writes keys that are no names
            value.update(_value(argument))
        value.update({keyword.arg: _value(keyword.value) for keyword in node.keywords})
        return value
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element) for element in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)  # such as `inf`


def _differences(old: Any, new: Any, name: str = ''):
    if isinstance(old, dict) and isinstance(new, dict):
        old = _with_names_of(new, old)
        for key in {**old, **new}:
            yield from _differences(
                old.get(key, _MISSING),
                new.get(key, _MISSING),
                f'{name}.{key}' if name else str(key),
            )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, pair in enumerate(zip(old, new)):
            yield from _differences(*pair, f'{name}[{i}]')
    elif _current(old) != _current(new):
        yield name, old, new


def _with_names_of(new: dict, old: dict) -> dict:
    """Rename arguments in the settings ``old`` to their present names, if ``new`` has them."""
    names = {
        key: ARGUMENTS[key]
        for key in old.keys() - new.keys()
        if key in ARGUMENTS and ARGUMENTS[key] in new.keys() - old.keys()
    }
    return {names.get(key, key): value for key, value in old.items()}


def _current(value: Any) -> Any:
    """Replace an old name of a class by the present one; other values stay."""
    if not isinstance(value, str):
        return value
    name = value.removeprefix('mmocr_da.')
    return f'mmocr_da.{CLASSES[name]}' if name in CLASSES else value


def _check_model(model: nn.Module, checkpoint: dict, path: str, changes: list[Change]) -> None:
    fit = load_fitting(model, weights_of(checkpoint))
    if not any(fit):
        return
    new = [key for key in fit.lacking if key not in fit.misfits]
    differences = [
        f'{what} {some(keys)}'
        for what, keys in (
            ('new here:', new),
            ('only in the checkpoint:', fit.unused),
            ('of another shape:', fit.misfits),
        )
        if keys
    ]
    of_model = [change for change in changes if change[0].startswith('model')]
    settings = f'. Changed settings: {_listed(of_model)}' if of_model else ''
    raise ValueError(
        f'--resume needs the model that was trained, got {path!r} of another: '
        f'{"; ".join(differences)}{settings}. {_go_on(path)}'
    )


def _check_optimizer(changes: list[Change], path: str) -> None:
    changed = [
        c for c in changes if c[0] in ('optim_wrapper.optimizer.type', 'optim_wrapper.constructor')
    ]
    if changed:
        raise ValueError(
            f'--resume needs the optimizer that was trained with, got {path!r} of '
            f'another: {_listed(changed)}. {_go_on(path)}'
        )


def _check_length(checkpoint: dict, cfg: Config, path: str) -> None:
    train_cfg = cfg.get('train_cfg') or {}
    for unit in ('iter', 'epoch'):
        end, done = train_cfg.get(f'max_{unit}s'), (checkpoint.get('meta') or {}).get(unit)
        if not isinstance(end, int) or not isinstance(done, int):
            continue
        if done == end:
            _warn(
                f'Nothing to do: {path} was trained for {done} {unit}s, and '
                f'train_cfg.max_{unit}s is {end}. Raise it to train on'
            )
        if done > end:
            raise ValueError(
                f'train_cfg.max_{unit}s must be at least the {done} {unit}s that '
                f'{path!r} was trained for, got {end}: there is nothing to do. Raise '
                'it, or test the checkpoint'
            )


def parameters_by_group(optimizer, model: nn.Module) -> list[list[str]]:
    """List the names of the parameters in each group of an optimizer, in its order."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [
        [names.get(parameter, '?') for parameter in group['params']]
        for group in optimizer.param_groups
    ]


def align_optimizer(
    state: dict, saved: list[list[str]] | None, groups: list[list[str]], path: str
) -> None:
    """Sort the state of an optimizer into the order of the parameters here, by their names.

    An optimizer numbers its parameters, and the model may list the same parameters in another
    order now. Groups with the same settings, as a ``paramwise_cfg`` without effect makes one per
    parameter, become a single one where the optimizer has one here.

    Args:
        state: ``state_dict`` of the optimizer in the checkpoint; changed in place.
        saved: Names in its groups; None in checkpoints of other programs and older versions.
        groups: Names in the groups of the optimizer here.

    Raises:
        ValueError: If the parameters differ.
    """
    counts = [len(group['params']) for group in state['param_groups']]
    if saved is not None and len(groups) == 1:
        saved = _merge_groups(state, saved)
    if saved is None and counts == [len(group) for group in groups] or saved == groups:
        return
    if saved is None or [sorted(group) for group in saved] != [sorted(group) for group in groups]:
        there = {name for group in saved or () for name in group}
        here = {name for group in groups for name in group}
        names = (
            f'; new here: {some(sorted(here - there))}; only in the checkpoint: '
            f'{some(sorted(there - here))}'
            if saved
            else ''
        )
        raise ValueError(
            f'--resume needs an optimizer of the same parameters, got {path!r} with groups of '
            f'{counts} parameters against {[len(group) for group in groups]} here{names}. '
            f'{_go_on(path)}'
        )
    place = {
        name: i
        for group, entry in zip(saved, state['param_groups'])
        for name, i in zip(group, entry['params'])
    }
    new_place = {
        place[name]: i for i, name in enumerate(name for group in groups for name in group)
    }
    state['state'] = {new_place[i]: value for i, value in state['state'].items()}
    for entry, group in zip(state['param_groups'], groups):
        entry['params'] = [new_place[place[name]] for name in group]


def _merge_groups(state: dict, saved: list[list[str]]) -> list[list[str]]:
    """The names of one group instead of several, if their settings are equal."""
    settings = [
        {key: value for key, value in entry.items() if key != 'params'}
        for entry in state['param_groups']
    ]
    if any(other != settings[0] for other in settings):
        return saved
    numbers = [i for entry in state['param_groups'] for i in entry['params']]
    state['param_groups'] = [dict(settings[0], params=numbers)]
    return [[name for group in saved for name in group]]


def _go_on(path: str) -> str:
    return (
        f'To go on from its weights with the config as it is now, set load_from={path!r} and '
        'leave --resume out: optimizer and iteration start again'
    )


def _listed(changes: list[Change]) -> str:
    return some([f'{name}: {_shown(old)} -> {_shown(new)}' for name, old, new in changes], 8)


def _shown(value: Any, length: int = 60) -> str:
    text = 'nothing' if value is _MISSING else repr(value)
    return text if len(text) <= length else f'{text[:length]}...'


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
