"""From an adapted model to a plain MMOCR one: what only training needed falls away.

Training adds its parts under attributes of their own and keeps every key of the base model, so an
export is a selection: the constructor arguments that the stock class knows, and the weights that a
model built from them has. Only where another classifier predicts, its weights take the place.
"""

import copy
import inspect
import os.path as osp
import re
import shutil

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmocr_da.arguments import some
from mmocr_da.models.layers import DomainNorm
from mmocr_da.models.surrogates import LearnedSurrogate

# Everything MMOCR's `tools/test.py` and inferencers read. Whatever else a config holds (training,
# helper variables of the user) is not carried over.
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

STOCK_METRICS = (
    dict(type='WordMetric', mode=['exact', 'ignore_case', 'ignore_case_symbol']),
    dict(type='CharMetric'),
    dict(type='OneMinusNEDMetric'),
)


def strip_adaptation(
    cfg: Config, state_dict: dict[str, Tensor]
) -> tuple[Config, dict[str, Tensor]]:
    """Return the config and the weights of the plain model inside an adapted one.

    The model's type becomes the nearest base class that does not come from ``mmocr_da``; for
    ``AdaptiveRecognizer`` that is ``EncoderDecoderRecognizer``. A model that is already plain
    keeps its type. Metrics and hooks of ``mmocr_da`` are replaced by MMOCR's or left out, so that
    the result needs ``mmocr_da`` only if a part of the model does, see :func:`remaining_parts`.
    Of SymNet's two classifiers, the stock one gets the weights of that which predicts.
    """
    if str(cfg.model.get('type')).removeprefix('mmocr_da.') == 'SeqCLR':
        raise ValueError(
            'SeqCLR has no decoder, so there is no recognizer to export; its encoder '
            'is in the encoder_*.pth beside the checkpoint (EncoderExportHook), '
            'which a recognizer takes by load_from'
        )
    if str(cfg.model.get('type')).removeprefix('mmocr_da.') == 'RotatedMMDetWrapper':
        raise ValueError(
            'MMOCR has no rotated boxes, so there is no plain model of a rotated '
            'detector to export; keep mmocr_da installed and use the config and the '
            'checkpoint as they are'
        )
    if cfg.get('test_dataloader') is None:
        raise ValueError(
            'an export needs a test_dataloader in the config, whose pipeline becomes '
            'that of the exported model, got none; add one, its images may be missing'
        )
    # The package's own default is "mmocr", and without it no bare type name is found.
    init_default_scope(cfg.get('default_scope', 'mmocr'))
    plain = Config(dict(default_scope='mmocr', model=plain_model(cfg.model)))
    adapted = MODELS.build(copy.deepcopy(cfg.model))
    learned = tuple(
        f'{name}.' for name, part in adapted.named_modules() if isinstance(part, LearnedSurrogate)
    )
    state_dict = {k: v for k, v in state_dict.items() if not k.startswith(learned)}
    if hasattr(adapted, 'plain_state_dict'):
        state_dict = adapted.plain_state_dict(state_dict)
    for key in KEPT_KEYS:
        if key in cfg:
            plain[key] = copy.deepcopy(cfg[key])
    plain.setdefault('test_cfg', dict(type='TestLoop'))
    _share_pipeline(plain.test_dataloader.dataset)
    hooks = plain.get('default_hooks', {})
    for name in [name for name, hook in hooks.items() if _is_ours(hook)]:
        del hooks[name]
    imports = plain.get('custom_imports') or {}
    if 'imports' in imports:
        names = imports['imports']
        names = [names] if isinstance(names, str) else names
        imports['imports'] = [name for name in names if name.split('.')[0] != 'mmocr_da']
    if plain.get('test_evaluator') is not None:
        plain.test_evaluator = _stock_evaluator(plain.test_evaluator)
    _drop_scope(plain._cfg_dict)
    return plain, plain_state_dict(plain.model, state_dict)


def _share_pipeline(dataset: ConfigDict) -> None:
    """Put the pipeline that all parts have where MMOCR's inferencers look for it."""
    parts = dataset.get('datasets') or []
    pipelines = [part.get('pipeline') for part in parts]
    if (
        not dataset.get('pipeline')
        and pipelines
        and pipelines[0]
        and all(pipeline == pipelines[0] for pipeline in pipelines)
    ):
        dataset.pipeline = pipelines[0]
        for part in parts:
            part.pipeline = None


def _drop_scope(node) -> None:
    """Remove the mark that MMEngine leaves on what came from a ``mmocr_da::`` config."""
    if isinstance(node, dict):
        if node.get('_scope_') == 'mmocr_da':
            del node['_scope_']
        node = node.values()
    if not isinstance(node, (str, bytes)) and hasattr(node, '__iter__'):
        for value in node:
            _drop_scope(value)


def plain_model(model: ConfigDict) -> ConfigDict:
    """Return the stock part of a model config: its type and the keys that type knows."""
    model = copy.deepcopy(model)
    _restore_batch_norms(model)
    _drop_losses(model)
    plain = _plain_part(model)
    # Ours are host classes with another speed or another loss: in testing the host's do the same.
    if _is_ours(plain.get('data_preprocessor')):
        plain.data_preprocessor = _plain_part(plain.data_preprocessor)
    # Weights come from the checkpoint: the exported config must not look for another one.
    if 'init_cfg' in inspect.signature(MODELS.get(plain.type).__init__).parameters:
        plain.init_cfg = None
    return plain


def _restore_batch_norms(node) -> None:
    """Undo ``WithBIN`` and ``norm_cfg=dict(type='mmocr_da.BIN')`` wherever a config has them."""
    if isinstance(node, dict):
        name = str(node.get('type', '')).removeprefix('mmocr_da.')
        if name == 'WithBIN':
            node['type'] = node.pop('of')
            for key in ('include', 'exclude'):
                node.pop(key, None)
        elif name in ('BIN', 'BIN1d', 'BIN2d', 'BIN3d'):
            node['type'] = name.replace('BIN', 'BN')
        node = node.values()
    if not isinstance(node, (str, bytes)) and hasattr(node, '__iter__'):
        for value in node:
            _restore_batch_norms(value)


def _drop_losses(node) -> None:
    """Put a loss of the host in the place of ours in a detector: in testing there is none."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.startswith('loss_') and _is_ours(value):
                node[key] = ConfigDict(type='SmoothL1Loss')
        node = node.values()
    if not isinstance(node, (str, bytes)) and hasattr(node, '__iter__'):
        for value in node:
            _drop_losses(value)


def _plain_part(cfg: ConfigDict) -> ConfigDict:
    cls = MODELS.get(cfg['type'])
    if cls is None:
        raise ValueError(f'type must be a registered model, got {cfg["type"]!r}')
    stock = next(c for c in cls.__mro__ if c.__module__.split('.')[0] != 'mmocr_da')
    scope = stock.__module__.split('.')[0]
    if scope in ('mmengine', 'torch', 'builtins', 'abc'):
        raise ValueError(
            f'model.type must extend a model of MMOCR, got {cfg["type"]!r}, which '
            'has no plain counterpart; export the model that was fine-tuned from it'
        )
    known = {'_scope_', *inspect.signature(stock.__init__).parameters}
    kept = {key: value for key, value in cfg.items() if key in known}
    # Scopes other than MMOCR's (a detector of MMDet) need their prefix.
    name = stock.__name__ if scope == 'mmocr' else f'{scope}.{stock.__name__}'
    return ConfigDict(copy.deepcopy(dict(kept, type=name)))


def plain_state_dict(model: dict, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of ``state_dict`` that belong to ``model``, all of them or an error.

    What is left out must lie under attributes of its own. A surplus weight *inside* a part of the
    plain model means that training changed this part, and without it the model reads differently.
    Of a norm layer, the statistics of the source and gates that are all 1 make no difference.
    """
    plain = MODELS.build(copy.deepcopy(model))
    keys = plain.state_dict().keys()
    norms = {
        name for name, layer in plain.named_modules() if isinstance(layer, (_BatchNorm, DomainNorm))
    }
    of_norms = {
        key
        for key in state_dict.keys() - keys
        if re.sub(r'\.(rho|source_mean|source_var)$', '', key) in norms
    }
    closed = sorted(
        key for key in of_norms if key.endswith('.rho') and not (state_dict[key] == 1).all()
    )
    if closed:
        raise ValueError(
            'batch-instance norms can be exported as batch norms only if all their '
            f'gates are 1, got others in {some(closed)}: what such a layer does '
            'depends on the image, and MMOCR has none like it; keep mmocr_da '
            'installed and use the config and the checkpoint as they are'
        )
    state_dict = {key: value for key, value in state_dict.items() if key not in of_norms}
    missing = sorted(keys - state_dict.keys())
    if missing:
        raise ValueError(
            f'checkpoint must hold all weights of {model["type"]}, got none for '
            f'{some(missing)}; config and checkpoint must belong together'
        )
    parts = {name for name, _ in plain.named_children()}
    surplus = sorted(key for key in state_dict.keys() - keys if key.split('.')[0] in parts)
    if surplus:
        raise ValueError(
            f'checkpoint must hold only weights that {model["type"]} has in '
            f'{sorted(parts)}, got also {some(surplus)}; make the change part of '
            'the backbone, encoder or decoder config'
        )
    return {key: state_dict[key].detach().cpu().clone() for key in keys}


def select_weights(checkpoint: dict, raw: bool = False) -> dict[str, Tensor]:
    """Return the weights that were validated, or with ``raw`` the ones before averaging.

    A checkpoint of MMEngine's ``EMAHook`` has the *averaged* weights in ``state_dict`` and the
    trained ones in ``ema_state_dict``: the hook swaps the two when it saves.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    if not raw:
        return weights
    if 'ema_state_dict' not in checkpoint:
        raise ValueError(
            '--raw needs a checkpoint of EMAHook, got one without ema_state_dict; '
            'its weights are the raw ones already, leave --raw out'
        )
    trained = {
        key[len('module.') :]: value
        for key, value in checkpoint['ema_state_dict'].items()
        if key.startswith('module.')
    }
    return {**weights, **trained}


def remaining_parts(cfg: Config) -> list[str]:
    """Return the types of ``mmocr_da`` that are still in a config, sorted.

    >>> remaining_parts(Config(dict(model=dict(decoder=dict(type='mmocr_da.AttentionDecoder')))))
    ['mmocr_da.AttentionDecoder']
    """
    found = set()

    def visit(node) -> None:
        if isinstance(node, dict):
            if _is_ours(node):
                found.add(node['type'])
            for value in node.values():
                visit(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                visit(value)

    visit(cfg.to_dict())
    return sorted(found)


def bundle_dictionaries(cfg: Config, out_dir: str) -> None:
    """Copy every ``dict_file`` of the config into ``out_dir`` and refer to the copy.

    The config finds it wherever the folder is moved to.
    """
    copied: dict[str, str] = {}

    def visit(node) -> None:
        if isinstance(node, dict):
            path = node.get('dict_file')
            if isinstance(path, str):
                if path not in copied:
                    name = osp.basename(path)
                    if name in copied.values():  # another folder's file of the same name
                        name = f'{len(copied)}_{name}'
                    copied[path] = name
                    shutil.copyfile(path, osp.join(out_dir, name))
                node['dict_file'] = '{{ fileDirname }}/' + copied[path]
            for value in node.values():
                visit(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                visit(value)

    visit(cfg._cfg_dict)


def _is_ours(node) -> bool:
    return isinstance(node, dict) and str(node.get('type', '')).startswith('mmocr_da.')


def _stock_evaluator(evaluator):
    """Replace our metrics by MMOCR's, once, wherever an evaluator config lists metrics."""
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        return ConfigDict(evaluator, metrics=_stock_evaluator(evaluator['metrics']))
    metrics = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
    stock = [metric for metric in metrics if not _is_ours(metric)]
    if len(stock) < len(metrics):
        there = {metric['type'] for metric in stock}
        stock += [ConfigDict(metric) for metric in STOCK_METRICS if metric['type'] not in there]
    return stock
