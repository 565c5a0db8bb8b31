"""Finds parts of a model: without its wrappers, by module name, or its learned surrogate."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmocr.models.textrecog.module_losses.base import BaseTextRecogModuleLoss
from torch import nn

from mmocr_da.models.surrogates import LearnedSurrogate


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model itself, without DDP or test-time augmentation around it."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


def label_loss(model: nn.Module) -> BaseTextRecogModuleLoss | None:
    """Return the loss by which a recognizer learns from labels; None if it uses no labels."""
    # SeqCLR may have a decoder, but does not use its loss.
    if hasattr(model, 'contrastive_loss'):
        return None
    module_loss = getattr(getattr(model, 'decoder', None), 'module_loss', None)
    return module_loss if isinstance(module_loss, BaseTextRecogModuleLoss) else None


def as_names(modules: str | Sequence[str]) -> tuple[str, ...]:
    """Check the option ``modules`` of a hook and return it as a tuple.

    Raises:
        ValueError: If it is empty or contains something other than names.
    """
    names: tuple[str, ...] = ()
    if isinstance(modules, (str, list, tuple)):
        names = (modules,) if isinstance(modules, str) else tuple(modules)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"modules must be names of modules such as ['backbone', 'encoder'], got {modules!r}"
        )
    return names


def outermost(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of the modules that match, without modules inside another match.

    Raises:
        ValueError: If a pattern matches no module.

    >>> net = nn.Sequential(nn.Sequential(nn.ReLU(), nn.ReLU()), nn.ReLU())
    >>> outermost(net, ['0.*']), outermost(net, ['0', '0.1'])
    (['0.0', '0.1'], ['0'])
    """
    # `named_modules` leaves out parts that are None, unlike `_modules`.
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    chosen = set()
    for pattern in patterns:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if not matches:
            parts = ', '.join(name for name, _ in model.named_children())
            raise ValueError(
                f'modules must be names of modules of the {type(model).__name__}, got '
                f'{pattern!r}, which matches none; its parts are {parts}'
            )
        chosen.update(matches)
    return [
        name
        for name in names
        if name in chosen and not any(name.startswith(f'{other}.') for other in chosen)
    ]


def find_surrogate(model: nn.Module) -> tuple[str, LearnedSurrogate]:
    """Find the learned surrogate of a model.

    Returns:
        Its name in the model, and the surrogate.

    Raises:
        ValueError: If the model does not have exactly one.
    """
    found = [(name, m) for name, m in model.named_modules() if isinstance(m, LearnedSurrogate)]
    if len(found) != 1:
        raise ValueError(
            'a model with one learned surrogate is needed, such as an '
            'AdaptiveRecognizer with objectives=[dict(type="mmocr_da.LSEDLoss")], got '
            f'a {type(model).__name__} with {len(found)}; remove the hook'
        )
    return found[0]
