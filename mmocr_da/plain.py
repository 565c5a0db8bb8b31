"""Attributes by which a class says what replaces it in plain MMOCR, see :mod:`mmocr_da.export`.

A class may have any of three attributes. A class without them stays unchanged in an exported
config, and the exported model needs this package installed.

``plain_cfg(cls, cfg) -> dict | list[dict] | None`` (class method)
    Returns the config of a host class that does the same in testing, a list of several such
    configs, or None if testing needs none. It must not change ``cfg``. A class that differs from
    its base class only in training sets ``plain_cfg = classmethod(base_cfg)``, the default for
    models.
``plain_state_dict(self, state_dict) -> dict[str, Tensor]``
    Returns the weights of the plain module; the keys are relative to the module. It raises a
    ValueError, which says why, if there is no plain module with these weights.
``not_exportable``
    Text that says why a model has no plain counterpart, and what to do instead.
"""

import copy
import inspect
from typing import Any

#: Packages below the hosts; a base class from them is not a model.
_BELOW_MODELS = ('mmengine', 'torch', 'builtins', 'abc')


def base_cfg(cls: type, cfg: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the nearest base class outside this package, with the keys it accepts.

    Raises:
        ValueError: If the class does not extend a class of MMOCR or its hosts.
    """
    # A custom class that extends one of ours is not plain either.
    base = next(c for c in cls.__mro__ if not any(map(is_ours, c.__mro__)))
    scope = base.__module__.split('.')[0]
    if scope in _BELOW_MODELS:
        raise ValueError(
            f'model.type must extend a model of MMOCR, got {cfg["type"]!r}, which '
            'has no plain counterpart; export the model that was fine-tuned from it'
        )
    known = {'_scope_', *inspect.signature(base).parameters}
    # Types of other packages than MMOCR (a detector of MMDetection) need their prefix.
    name = base.__name__ if scope == 'mmocr' else f'{scope}.{base.__name__}'
    kept = {key: copy.deepcopy(value) for key, value in cfg.items() if key in known}
    return dict(kept, type=name)


def is_ours(cls: type) -> bool:
    """Whether a class is of this package."""
    return cls.__module__.split('.')[0] == 'mmocr_da'
