"""Replaces batch norms by batch-instance norms or domain norms in built models."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

from mmcv.ops import SyncBatchNorm as MMSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from mmocr_da.arguments import check_list, some
from mmocr_da.registry import MODELS

from .batch_instance_norm import (
    BatchInstanceNorm,
    BatchInstanceNorm1d,
    BatchInstanceNorm2d,
    BatchInstanceNorm3d,
)
from .domain_norm import DomainBatchNorm1d, DomainBatchNorm2d, DomainBatchNorm3d, DomainNorm

NamePatterns = str | Sequence[str] | None  # globs of dotted names
LayerNames = dict[nn.Module, list[str]]  # a layer that is used at two places has two names
# New class -> the class or classes of the layers that become it.
Conversion = Mapping[type[nn.Module], type[nn.Module] | tuple[type[nn.Module], ...]]

# A batch norm that is neither 1d, 2d nor 3d is, or was, synchronized.
TO_BATCH_INSTANCE_NORM: Conversion = {
    BatchInstanceNorm1d: (nn.BatchNorm1d, DomainBatchNorm1d),
    BatchInstanceNorm2d: (nn.BatchNorm2d, DomainBatchNorm2d),
    BatchInstanceNorm3d: (nn.BatchNorm3d, DomainBatchNorm3d),
    BatchInstanceNorm: nn.Module,
}
TO_DOMAIN_NORM: Conversion = {
    DomainBatchNorm1d: nn.BatchNorm1d,
    DomainBatchNorm2d: nn.BatchNorm2d,
    DomainBatchNorm3d: nn.BatchNorm3d,
    DomainNorm: nn.Module,
}
SYNC_BATCH_NORMS = (nn.SyncBatchNorm, MMSyncBatchNorm)
SYNC_ATTRIBUTES = ('process_group', 'group', 'group_size', 'stats_mode')
# Subclasses with another forward (frozen, fused, quantized) compute something else.
CONVERTIBLE_FORWARDS = {cls.forward for cls in (_BatchNorm, DomainNorm, *SYNC_BATCH_NORMS)}


def convert_batch_norm(
    module: nn.Module, include: NamePatterns = None, exclude: NamePatterns = None
) -> nn.Module:
    """Convert the batch norms of a built module to batch-instance norms, and return the module.

    A layer stays the same object under the same name, with the same parameters, buffers, hooks and
    mode. Its new gate ``rho`` is 1, so it still computes batch norm. Weights may be loaded before
    or after, and ``module.init_weights()`` initializes the layer like the batch norm; only an
    ``init_cfg`` outside ``module`` that names ``BatchNorm2d`` no longer reaches it. A synchronized
    layer stays synchronized. Subclasses with their own forward, such as frozen or fused layers, are
    not converted.

    Convert before making an optimizer, ``DistributedDataParallel`` or moving average: existing ones
    do not include the gates.

    Args:
        include: Globs of the layers' dotted names in ``module``; by default all layers. The layers
            of a teacher have the names of its student's, too.
        exclude: Globs of layers that stay batch norms.

    Raises:
        ValueError: If there is no batch norm, a glob matches none, or no layer is left to convert.

    >>> model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    >>> convert_batch_norm(model)[1].rho
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """
    names = _with_names_of_twins(module, _norm_layers(module))
    selected = _matching(names, '*' if include is None else include)
    selected -= _matching(names, () if exclude is None else exclude)
    if not selected:
        raise ValueError(
            f'include and exclude must leave a layer to convert, got {include!r} and '
            f'{exclude!r}, which leave none of {_quoted(names)}'
        )
    _convert(
        module,
        {
            layer: own
            for layer, own in names.items()
            if layer in selected and not isinstance(layer, BatchInstanceNorm)
        },
        TO_BATCH_INSTANCE_NORM,
    )
    return module


def keep_statistics_per_domain(module: nn.Module, without: Sequence[str] = ()) -> nn.Module:
    """Give batch norms and batch-instance norms statistics per domain, and return the module.

    Batch norms become :class:`DomainNorm` as in :func:`convert_batch_norm`, except in the children
    named ``without``.

    Raises:
        ValueError: If there is no batch norm, or if one is run twice (``with_cp=True``) or has no
            running statistics.
    """
    checkpointed = [name for name, m in module.named_modules() if getattr(m, 'with_cp', False)]
    if checkpointed:
        raise ValueError(
            'statistics per domain need a forward pass that backward does not repeat, '
            f'got with_cp=True in {checkpointed[0]!r}; set with_cp=False'
        )
    layers = {
        layer: own
        for layer, own in _norm_layers(module).items()
        if any(name.split('.')[0] not in without for name in own)
    }
    _convert(
        module,
        {layer: own for layer, own in layers.items() if not isinstance(layer, DomainNorm)},
        TO_DOMAIN_NORM,
    )
    for layer in layers:
        assert isinstance(layer, DomainNorm)  # since the conversion
        layer.keep_statistics_per_domain()
    return module


@MODELS.register_module('WithBIN')
def with_bin(
    of: str | None = None, include: NamePatterns = None, exclude: NamePatterns = None, **cfg: Any
) -> nn.Module:
    """Build ``dict(type=of, **cfg)`` and convert its batch norms to batch-instance norms.

    In a config it replaces the ``type`` of a model or of a part; the other keys stay:

    .. code-block:: python

        _base_ = 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'
        model = dict(type='mmocr_da.WithBIN', of='CRNN')

    Args:
        of: The original type of the model or part.
        include, exclude: Layers to convert, see :func:`convert_batch_norm`.

    Raises:
        ValueError: If ``of`` is missing, or as in :func:`convert_batch_norm`.
    """
    for name, globs in dict(include=include, exclude=exclude).items():
        if not (globs is None or isinstance(globs, str)):
            check_list(name, globs, str, 'globs')
    if not isinstance(of, str):
        raise ValueError(
            'WithBIN needs of=..., the type of the model or part with the batch norms to '
            f"convert, got {of!r}; write dict(type='mmocr_da.WithBIN', of='CRNN')"
        )
    return convert_batch_norm(MODELS.build(dict(cfg, type=of)), include, exclude)


def _plain_cfg(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the part itself (:mod:`mmocr_da.plain`)."""
    kept = {key: value for key, value in cfg.items() if key not in ('of', 'include', 'exclude')}
    return dict(kept, type=cfg['of'])


with_bin.plain_cfg = _plain_cfg


def _norm_layers(module: nn.Module) -> LayerNames:
    """Find the layers that are, or can become, batch-instance norms."""
    modes = {layer.mode for layer in module.modules() if isinstance(layer, DomainNorm)}
    names: LayerNames = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if type(layer).forward in CONVERTIBLE_FORWARDS and layer not in modes:
            names.setdefault(layer, []).append(name)
    if not names:
        raise ValueError(
            'a module must have batch norms to be converted, got '
            f'{type(module).__name__} without one'
        )
    return names


def _with_names_of_twins(module: nn.Module, names: LayerNames) -> LayerNames:
    """Add to the names of layers in a copy those of the layers that it was copied from.

    Both must be converted alike: a teacher follows its student layer by layer.
    """
    copies = [n for n, m in module.named_modules() if getattr(m, 'has_names_of_twins', False)]
    return {
        layer: own
        + [name.removeprefix(f'{c}.') for name in own for c in copies if name.startswith(f'{c}.')]
        for layer, own in names.items()
    }


def _matching(names: LayerNames, globs: str | Sequence[str]) -> set[nn.Module]:
    found: set[nn.Module] = set()
    for glob in [globs] if isinstance(globs, str) else globs:
        matching = {
            layer for layer, own in names.items() if any(fnmatchcase(name, glob) for name in own)
        }
        if not matching:
            raise ValueError(
                'include and exclude need globs that match names of norm layers, got '
                f'{glob!r}, which matches none of {_quoted(names)}'
            )
        found |= matching
    return found


def _quoted(names: LayerNames) -> str:
    return some([repr(name) for name, *_ in names.values()])


def _convert(module: nn.Module, layers: LayerNames, conversion: Conversion) -> None:
    for layer, (name, *_) in layers.items():
        if isinstance(layer, LazyModuleMixin):
            raise ValueError(
                f'a batch norm must know its channels to be converted, got {layer} as '
                f'{name!r}; run the module on a batch first'
            )
    like = next(chain(module.parameters(), module.buffers()), None)
    new_names: dict[str, set[str]] = {}
    for layer in layers:
        old = type(layer)
        _convert_layer(layer, like, conversion)
        for cls in (old, *old.__bases__):
            new_names.setdefault(cls.__name__, set()).add(type(layer).__name__)
    _extend_init_cfg(module, new_names)


def _convert_layer(layer: Any, like: Tensor | None, conversion: Conversion) -> None:
    """Change the class of a layer in place, so that all references to it stay valid."""
    sync = {name: vars(layer).pop(name) for name in SYNC_ATTRIBUTES if name in vars(layer)}
    old, old_class = dict(vars(layer)), type(layer)
    like = next((t for t in (layer.weight, layer.running_mean, like) if t is not None), None)
    layer.__class__ = next(new for new, ranked in conversion.items() if isinstance(layer, ranked))
    layer.__init__(
        layer.num_features, **({} if like is None else dict(device=like.device, dtype=like.dtype))
    )

    for name in ('_parameters', '_buffers', '_modules'):
        vars(layer)[name].update(old.pop(name))
    vars(layer).update(old)
    if layer.weight is not None and isinstance(layer, BatchInstanceNorm):
        layer.rho.requires_grad_(layer.weight.requires_grad)
    if not issubclass(old_class, DomainNorm):
        layer.mode.train(layer.training)
    for cls in SYNC_BATCH_NORMS:
        if issubclass(old_class, cls):
            layer.mode = cls(layer.num_features, affine=False, track_running_stats=False)
            vars(layer.mode).update(sync, training=layer.training)


def _extend_init_cfg(module: nn.Module, new_names: dict[str, set[str]]) -> None:
    """Let an ``init_cfg`` that names batch norms initialize the converted layers, too."""
    for part in module.modules():
        cfgs = getattr(part, 'init_cfg', None)
        for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs or ():
            layers = cfg.get('layer') or ()
            layers = [layers] if isinstance(layers, str) else list(layers)
            new = set().union(*(new_names.get(name, ()) for name in layers))
            if new:
                cfg['layer'] = layers + sorted(new.difference(layers))
