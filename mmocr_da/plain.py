"""How a class of this package says what replaces it in plain MMOCR, for :mod:`mmocr_da.export`.

It has any of three attributes. A class without them stays in an exported config as it is, and the
exported model needs this package installed.

``plain_cfg(cls, cfg) -> dict | list[dict] | None`` (class method)
    The config of a class of the host that does the same in testing; several in a list; None if
    testing needs none. ``cfg`` must not be changed. A class that differs from its base class in
    training only writes ``plain_cfg = classmethod(base_cfg)``, which is the default for models.
``plain_state_dict(self, state_dict) -> dict[str, Tensor]``
    The weights that the plain module has; keys are those of the module itself. A ValueError says
    why there is no plain module with these weights.
``not_exportable``
    Why a model has no plain counterpart, and what to do instead.
"""

import copy
import inspect
from typing import Any

#: Packages that models are built from; their classes are no models of the host.
_BELOW_MODELS = ('mmengine', 'torch', 'builtins', 'abc')


def base_cfg(cls: type, cfg: dict[str, Any]) -> dict[str, Any]:
    """The config of the nearest base class outside this package, with the keys that it knows.

    Raises:
        ValueError: If the class does not extend one of MMOCR or of its hosts.
    """
    # A class of a user that extends one of ours is not plain either.
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
