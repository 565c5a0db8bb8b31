"""Old names of classes and arguments. They work for one minor version, with a warning."""

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log

#: Registered classes, old name to new name.
CLASSES: dict[str, str] = {
    'GateHook': 'BINGateHook',
    'GateOptimWrapperConstructor': 'BINGateOptimWrapperConstructor',
}
#: Arguments of any class, old name to new name, from all modules imported so far.
ARGUMENTS: dict[str, str] = {}
#: Removed classes, with the reason and what to do instead.
REMOVED: dict[str, str] = {
    'PublishedDomainDiscriminator': 'it had no measured benefit; use DomainDiscriminator',
}
#: Modules that custom code imports, old name to new name.
MODULES: dict[str, str] = {
    'mmocr_da.engine.encoder_hooks': 'mmocr_da.engine.hooks',
    'mmocr_da.engine.export': 'mmocr_da.export',
    'mmocr_da.engine.schedules': 'mmocr_da.models.schedules',
    'mmocr_da.engine.surrogate_hooks': 'mmocr_da.engine.hooks',
    'mmocr_da.evaluation.surrogate': 'mmocr_da.models.surrogates.quality',
    'mmocr_da.models.alignment': 'mmocr_da.models.objectives',
    'mmocr_da.models.decoders.free_reading': 'mmocr_da.models.decoders.adapters',
}
#: Attributes of custom objectives that are no longer used, with what to do.
OBJECTIVES: dict[str, str] = {
    'needs_reading': 'rename it to needs_prediction; the result is source.prediction',
    'holds_recognizer': 'rename it to freezes_recognizer',
    'needs_all_steps': 'remove it: there are as many steps as the longest text has',
    'check': 'do it in attach(recognizer)',
}


def current_name(name: str) -> str:
    """Return the present name of a registered class.

    Args:
        name: The name in a config, without a scope.

    Raises:
        ValueError: If the class was removed.
    """
    if name in REMOVED:
        raise ValueError(f'mmocr_da.{name} was removed; {REMOVED[name]}')
    if name not in CLASSES:
        return name
    _warn(f'type mmocr_da.{name}', f'mmocr_da.{CLASSES[name]}')
    return CLASSES[name]


class _Modules:
    """Says the new name of a module that no other finder has found."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name in MODULES:
            message = f'{name} is now {MODULES[name]}; see CHANGELOG.md for the names in it'
            raise ModuleNotFoundError(message, name=name)


# Last, so that nothing else becomes slower or different.
sys.meta_path.append(_Modules)


def check_objective(objective: Any) -> None:
    """Check that a custom objective has no attribute of an older version, which would be ignored.

    Raises:
        ValueError: If it has one; the message names the replacement.
    """
    kind = type(objective).__name__
    for old, new in OBJECTIVES.items():
        if hasattr(objective, old):
            raise ValueError(f'the objective {kind} has {old}, which nothing looks at now; {new}')
    signature = inspect.signature(objective.attach)
    names = list(signature.parameters)
    required = [p for p in signature.parameters.values() if p.default is p.empty]
    if len(required) != 1 or 'supervised_weight' in names:
        raise ValueError(
            f'attach of the objective {kind} is now attach(recognizer), got '
            f'attach({", ".join(names)}); take recognizer.decoder and '
            'recognizer.supervised_weight from it'
        )


def renamed_arguments(**names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a constructor so that it accepts old keywords, given as ``old='new'``."""

    ARGUMENTS.update(names)

    def decorate(init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def accept(self: object, *args: Any, **kwargs: Any) -> None:
            for old, new in names.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise ValueError(
                        f'{old} is now {new}, got both in a {type(self).__name__}; give {new} alone'
                    )
                _warn(f'{old}= of {type(self).__name__}', f'{new}=')
                kwargs[new] = kwargs.pop(old)
            init(self, *args, **kwargs)

        return accept

    return decorate


def removed_arguments(**reasons: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a constructor so that removed keywords, given as ``name='why'``, are explained.

    The decorated constructor raises a ValueError for any of them, unless its value is false.
    """

    def decorate(init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def refuse(self: object, *args: Any, **kwargs: Any) -> None:
            for name, reason in reasons.items():
                if value := kwargs.pop(name, None):
                    raise ValueError(
                        f'the option {name} of {type(self).__name__} was removed: {reason}; '
                        f'leave it out, got {name}={value!r}'
                    )
            init(self, *args, **kwargs)

        return refuse

    return decorate


@functools.cache
def _warn(old: str, new: str) -> None:
    print_log(
        f'{old} is now {new}; the old name works until the next minor version',
        logger='current',
        level=logging.WARNING,
    )
