"""Exports an adapted model as a plain MMOCR model, which needs no ``mmocr_da``.

Training adds its parts under separate attributes and keeps every key of the base model, so an
export selects keys. Each class of this package says what replaces it in plain MMOCR, see
:mod:`mmocr_da.plain`; the functions here walk through a config and a model and apply it.
"""

import copy
import inspect
import os.path as osp
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.utils import register_all_modules
from torch import Tensor, nn

from mmocr_da.arguments import some
from mmocr_da.config_names import check_config_folder
from mmocr_da.engine.checkpoints import check_checkpoint, check_finite, weights_of
from mmocr_da.engine.dictionary_check import check_dictionary
from mmocr_da.engine.inference import random_batch
from mmocr_da.outputs import output_files
from mmocr_da.plain import base_cfg, is_ours
from mmocr_da.registry import HOOKS, METRICS, MODELS
from mmocr_da.renamed import current_name

#: The settings that MMOCR's ``tools/test.py`` and inferencers use. All others (of training, helper
#: variables of the user) are not exported.
KEPT_KEYS = (
    'default_scope',
    'custom_imports',
    'env_cfg',
    'log_level',
    'log_processor',
    'default_hooks',
    'vis_backends',
    'visualizer',
    'test_pipeline',
    'tta_pipeline',
    'tta_model',
    'test_dataloader',
    'test_cfg',
    'test_evaluator',
)

#: Batches of noise that an export is compared on; predictions must be the same in one of them.
ATTEMPTS = 3
#: How much outputs may differ, relative to the largest one. Images in another memory format are
#: rounded otherwise, and a decoder that reads its own predictions adds that up: 1e-5 after 25
#: characters has been seen.
TOLERANCE = 1e-4


def make_plain(
    cfg: Config, state_dict: dict[str, Tensor], adapted: nn.Module | None = None
) -> tuple[Config, dict[str, Tensor]]:
    """Return the config and the weights of the plain model inside an adapted one.

    For a model that is already plain they stay the same. Nothing is changed in place.

    Args:
        cfg: Config of the adapted model.
        state_dict: Weights of the adapted model.
        adapted: The model of ``cfg``, if it is built already.

    Returns:
        A config for testing, which needs ``mmocr_da`` only if a part of the model does, see
        :func:`remaining_parts`; and weights that its model loads with ``strict=True``.

    Raises:
        ValueError: If the model has no plain counterpart, or not with these weights.
    """
    # The default of this package; without a scope, no bare type name is found.
    init_default_scope(cfg.get('default_scope', 'mmocr'))
    plain = plain_config(cfg)
    if adapted is None:
        adapted = MODELS.build(copy.deepcopy(cfg.model))
    return plain, plain_state_dict(adapted, plain.model, state_dict)


def load_plain(cfg: Config, checkpoint: str, device: str = 'cpu', raw: bool = False) -> nn.Module:
    """Build the plain model inside an adapted one, with the weights of a checkpoint, for testing.

    The checkpoint is one of the adapted model, or one of the plain model, such as that which the
    adaptation started from.

    Args:
        cfg: Config of the adapted model, or of a plain one.
        checkpoint: The weights.
        device: Where the model shall be.
        raw: With ``EMAHook``, take the trained weights instead of their moving average.

    Raises:
        ValueError: If the model has no plain counterpart, or not with these weights.
    """
    register_all_modules(init_default_scope=True)
    check_checkpoint(checkpoint, 'checkpoint')
    check_dictionary(cfg, checkpoint)
    weights = weights_of(CheckpointLoader.load_checkpoint(checkpoint, 'cpu'), raw)
    plain = plain_config(cfg)
    model = MODELS.build(copy.deepcopy(plain.model))
    if weights.keys() == model.state_dict().keys():
        check_finite(weights, model, checkpoint)
    else:
        adapted = MODELS.build(copy.deepcopy(cfg.model))
        check_finite(weights, adapted, checkpoint)
        weights = plain_state_dict(adapted, plain.model, weights)
    model.load_state_dict(weights, strict=True)
    return model.to(device).eval()


# ---------------------------------------------------------------------------- files


def export(
    cfg: Config, checkpoint: str, out_dir: str, name: str, raw: bool = False
) -> tuple[str, str]:
    """Write the plain config and checkpoint of an adapted model, and verify them.

    If anything fails, nothing is written. An earlier export of the same name is replaced.

    Args:
        cfg: Config of the adapted model.
        checkpoint: Its checkpoint.
        out_dir: Folder; the files are ``<name>.py``, ``<name>.pth`` and the dictionaries.
        raw: With ``EMAHook``, export the trained weights instead of their moving average.

    Returns:
        The paths of the config and the checkpoint.

    Raises:
        ValueError: If the model has no plain counterpart.
        RuntimeError: If the plain model predicts something else.
    """
    check_config_folder(out_dir, 'out_dir')
    check_dictionary(cfg, checkpoint)
    names = [f'{name}.py', f'{name}.pth']
    # Named after this config: another one may have a dictionary of the same name in the folder.
    with output_files(
        out_dir, names, f'tools/export.py for {name}.py', [cfg.filename, checkpoint]
    ) as folder:
        _write_plain(cfg, checkpoint, str(folder / names[0]), str(folder / names[1]), raw)
    return osp.join(out_dir, names[0]), osp.join(out_dir, names[1])


def _write_plain(
    cfg: Config, checkpoint: str, config_file: str, weights_file: str, raw: bool
) -> None:
    """Write the two files and the dictionaries beside them, and verify what was written."""
    register_all_modules(init_default_scope=True)
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    weights = weights_of(loaded, raw)
    adapted = MODELS.build(copy.deepcopy(cfg.model))  # building changes a config
    check_finite(weights, adapted, checkpoint)
    plain, plain_weights = make_plain(cfg, weights, adapted)

    folder = osp.dirname(config_file)
    bundle_dictionaries(plain, folder)
    plain.dump(config_file)
    meta = {
        key: value
        for key, value in loaded.get('meta', {}).items()
        if key in ('dataset_meta', 'epoch', 'iter', 'mmengine_version', 'time', 'seed')
    }
    # Without a name, the inferencers read the config from the checkpoint. So it must be the plain
    # config, with the final place of the dictionary.
    text = Config.fromfile(config_file).pretty_text
    meta['cfg'] = text.replace(folder, osp.dirname(folder))
    torch.save(dict(meta=meta, state_dict=plain_weights), weights_file)

    # From here on the files are loaded as a user would, so that the files themselves are checked.
    plain = Config.fromfile(config_file)
    model = MODELS.build(plain.model)
    model.load_state_dict(torch.load(weights_file)['state_dict'], strict=True)
    adapted.load_state_dict(weights, strict=True)
    # The test pipelines of detectors enlarge images to more than a megapixel.
    num = 4 if hasattr(model, 'decoder') else 1
    # Where two characters are equally probable, rounding decides; but not in every batch.
    batches = (random_batch(plain, seed, num) for seed in range(ATTEMPTS))
    if not any(same_predictions(adapted, model, batch) for batch in batches):
        raise RuntimeError(
            f'the plain model does not predict what {checkpoint} does, so nothing was '
            'written: a part that is not exported influences the predictions'
        )


# ---------------------------------------------------------------------------- the config


def plain_config(cfg: Config) -> Config:
    """Return the config of the plain model, with all settings for testing.

    Raises:
        ValueError: If the model has no plain counterpart, or there are no test data.
    """
    plain: dict[str, Any] = dict(default_scope='mmocr', model=plain_model(cfg.model))
    if cfg.get('test_dataloader') is None:
        raise ValueError(
            'an export needs a test_dataloader in the config, because the exported model gets '
            'its pipeline, got none; add one, its images may be missing'
        )
    for key in KEPT_KEYS:
        if key in cfg:
            change = _plain_evaluator if key == 'test_evaluator' else _plain
            plain[key] = change(cfg[key])
    plain.setdefault('test_cfg', dict(type='TestLoop'))
    # A hook without a plain counterpart serves training only.
    hooks = plain.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if _is_ours(hook)]:
        del hooks[name]
    _drop_import(plain.get('custom_imports') or {})
    _share_pipeline(plain['test_dataloader']['dataset'])
    return Config(plain)


def plain_model(cfg: dict[str, Any]) -> ConfigDict:
    """Return the config of the plain model.

    Raises:
        ValueError: If the model has no plain counterpart.
    """
    plain = _plain_node(dict(cfg))
    cls = _our_class(plain) or MODELS.get(plain['type'])
    if cls is None:
        raise ValueError(f'type must be a registered model, got {cfg["type"]!r}')
    if why := getattr(cls, 'not_exportable', None):
        raise ValueError(why)
    if any(map(is_ours, cls.__mro__)):
        plain = base_cfg(cls, plain)
    plain = _plain(plain)
    # Weights come from the checkpoint: the exported config must not look for another one.
    if 'init_cfg' in inspect.signature(MODELS.get(plain['type']) or cls).parameters:
        plain['init_cfg'] = None
    return ConfigDict(plain)


def remaining_parts(cfg: Config) -> list[str]:
    """Return the types of ``mmocr_da`` that are still in a config, sorted.

    >>> remaining_parts(Config(dict(model=dict(decoder=dict(type='mmocr_da.AttentionDecoder')))))
    ['mmocr_da.AttentionDecoder']
    """
    found = set()

    def look(node: dict[str, Any]) -> dict[str, Any]:
        if _is_ours(node):
            found.add(node['type'])
        return node

    rewrite(cfg.to_dict(), look)
    return sorted(found)


def bundle_dictionaries(cfg: Config, out_dir: str) -> None:
    """Copy every ``dict_file`` of the config into ``out_dir`` and refer to the copy.

    The config finds it wherever the folder is moved to.
    """
    copied: dict[str, str] = {}

    def bundle(node: dict[str, Any]) -> dict[str, Any]:
        path = node.get('dict_file')
        if not isinstance(path, str):
            return node
        if path not in copied:
            name = osp.basename(path)
            if name in copied.values():  # another folder's file of the same name
                name = f'{len(copied)}_{name}'
            copied[path] = name
            shutil.copyfile(path, osp.join(out_dir, name))
        return dict(node, dict_file='{{ fileDirname }}/' + copied[path])

    cfg._cfg_dict.update(ConfigDict(rewrite(cfg.to_dict(), bundle)))


def rewrite(node: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    """Return a copy of a config in which ``change`` has replaced each dict, from outside to inside.

    If ``change`` returns None, the dict is removed from the list or dict around it. If it returns a
    list, the list replaces the dict, and its items are inserted into a list around it.

    >>> rewrite(dict(a=[dict(n=1), dict(n=0)]), lambda node: node if node.get('n', 1) else None)
    {'a': [{'n': 1}]}
    """
    if isinstance(node, dict):
        node = change(dict(node))
        if not isinstance(node, dict):
            return node
        pairs = ((key, value, rewrite(value, change)) for key, value in node.items())
        return {key: new for key, old, new in pairs if new is not None or old is None}
    if isinstance(node, (list, tuple)):
        values: list[Any] = []
        for old in node:
            new = rewrite(old, change)
            if isinstance(old, dict) and isinstance(new, list):
                values += new
            elif new is not None or old is None:
                values.append(new)
        return type(node)(values)
    return copy.deepcopy(node)


def _plain(node: Any) -> Any:
    return rewrite(node, _plain_node)


def _plain_node(node: dict[str, Any]) -> Any:
    """Return the plain form of one dict of the adapted config."""
    # The mark that MMEngine leaves on what came from a `mmocr_da::` config.
    if node.get('_scope_') == 'mmocr_da':
        del node['_scope_']
    cls = _our_class(node)
    if not hasattr(cls, 'plain_cfg'):
        return node
    plain = cls.plain_cfg(node)
    # The result may be of this package, too: `WithBIN` of an `AdaptiveRecognizer`.
    return _plain_node(plain) if isinstance(plain, dict) else plain


def _plain_evaluator(evaluator: Any) -> Any:
    """Return the evaluator with MMOCR's metrics instead of ours, without duplicates."""
    if evaluator is None:
        return None
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        return dict(_plain(evaluator), metrics=_plain_evaluator(evaluator['metrics']))
    metrics = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
    plain = _plain([metric for metric in metrics if not _is_ours(metric)])
    there = {metric['type'] for metric in plain}
    for metric in _plain([metric for metric in metrics if _is_ours(metric)]):
        if metric['type'] not in there:
            plain.append(metric)
            there.add(metric['type'])
    return plain


def _our_class(node: dict[str, Any]) -> Any:
    """The class or function of this package that a config names; None if it is not ours."""
    if not isinstance(node.get('type'), str):
        return None
    name = current_name(node['type'].removeprefix('mmocr_da.'))
    for registry in (MODELS, METRICS, HOOKS):
        registry.import_from_location()
        if name in registry.module_dict:
            return registry.module_dict[name]
    return None


def _is_ours(node: Any) -> bool:
    return isinstance(node, dict) and str(node.get('type', '')).startswith('mmocr_da.')


def _share_pipeline(dataset: dict[str, Any]) -> None:
    """Move a pipeline that all parts share to the place where MMOCR's inferencers look for it."""
    parts = dataset.get('datasets') or []
    pipelines = [part.get('pipeline') for part in parts]
    if (
        not dataset.get('pipeline')
        and pipelines
        and pipelines[0]
        and all(pipeline == pipelines[0] for pipeline in pipelines)
    ):
        dataset['pipeline'] = pipelines[0]
        for part in parts:
            part['pipeline'] = None


def _drop_import(imports: dict[str, Any]) -> None:
    """Remove this package from ``custom_imports``."""
    if 'imports' in imports:
        names = imports['imports']
        names = [names] if isinstance(names, str) else names
        imports['imports'] = [name for name in names if name.split('.')[0] != 'mmocr_da']


# ---------------------------------------------------------------------------- the weights


def plain_state_dict(
    adapted: nn.Module, cfg: dict[str, Any], state_dict: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the weights of the plain model, all of them or an error.

    A weight that is left out must lie under an attribute of its own, or its module must drop it in
    ``plain_state_dict``. A surplus weight *inside* a part of the plain model means that training
    changed this part, and without it the model predicts something else.

    Args:
        adapted: The adapted model; its own weights do not matter.
        cfg: Config of the plain model.
        state_dict: Weights of the adapted model.

    Raises:
        ValueError: If a weight is missing or left over, or a module has no plain counterpart.
    """
    plain = MODELS.build(copy.deepcopy(cfg))
    parts = {name for name, _ in plain.named_children()}
    keys = plain.state_dict().keys()
    state_dict = _ask_modules(adapted, state_dict, parts)
    missing = sorted(keys - state_dict.keys())
    if missing:
        raise ValueError(
            f'checkpoint must hold all weights of {cfg["type"]}, got none for '
            f'{some(missing)}; config and checkpoint must belong together'
        )
    surplus = sorted(key for key in state_dict.keys() - keys if key.split('.')[0] in parts)
    if surplus:
        raise ValueError(
            f'checkpoint must hold only weights that {cfg["type"]} has in '
            f'{sorted(parts)}, got also {some(surplus)}; make the change part of '
            'the backbone, encoder or decoder config'
        )
    return {key: state_dict[key].detach().cpu().clone() for key in keys}


def _ask_modules(
    adapted: nn.Module, state_dict: dict[str, Tensor], parts: set[str]
) -> dict[str, Tensor]:
    """Return the weights that remain after every module in these parts has dropped its own."""
    problems: dict[str, list[str]] = {}
    # A module that is used at two places has its weights under two names.
    for name, module in adapted.named_modules(remove_duplicate=False):
        if not hasattr(module, 'plain_state_dict') or name and name.split('.')[0] not in parts:
            continue
        prefix = f'{name}.' if name else ''
        own = {key: state_dict[key] for key in state_dict if key.startswith(prefix)}
        others = {key: value for key, value in state_dict.items() if key not in own}
        try:
            plain = module.plain_state_dict(
                {key.removeprefix(prefix): value for key, value in own.items()}
            )
        except ValueError as error:
            if not name:
                raise
            problems.setdefault(str(error), []).append(name)
            continue
        state_dict = {**others, **{prefix + key: value for key, value in plain.items()}}
    for why, names in problems.items():
        raise ValueError(f'no plain weights of {some(names)}: {why}')
    return state_dict


@torch.no_grad()
def same_predictions(first: BaseModel, second: BaseModel, batch: dict[str, Any]) -> bool:
    """Whether two recognizers or detectors predict the same from the same outputs.

    Predictions alone would say little: any model may predict the empty text, or no text, for noise.
    """
    found = []
    for model in (first, second):
        model.eval()
        predicted = [_prediction(s) for s in model.test_step(copy.deepcopy(batch))]
        data = model.data_preprocessor(copy.deepcopy(batch), False)
        found.append((predicted, model(**data, mode='tensor')))
    return _close(*found)


def _prediction(sample: Any) -> Any:
    """The text of a word image, or the polygons of a scene and their scores."""
    if 'pred_text' in sample:
        return sample.pred_text.item
    regions = sample.pred_instances
    return [torch.as_tensor(p) for p in regions.polygons], torch.as_tensor(regions.scores)


def _close(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        first, second = torch.as_tensor(first), torch.as_tensor(second)
    if isinstance(first, Tensor):
        largest = float(first.abs().max()) if first.numel() else 0.0
        scale = largest if np.isfinite(largest) else 0.0
        return first.shape == second.shape and torch.allclose(
            first, second, rtol=0, atol=TOLERANCE * scale
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_close(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_close, first, second))
    return first == second
