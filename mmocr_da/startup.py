"""Lets the tools of MMOCR and MMEngine know this package although they do not import it.

``setup.py`` puts the text of this file into ``mmocr_da.pth``, which Python runs at every start.  So
it imports only what Python has imported already, and waits for MMEngine:

* its config reader learns where ``mmocr_da::`` leads;
* its inferencers learn which recognizers this package publishes beside those of MMOCR;
* with its runner, or with torchvision in a program that uses MMEngine, ``mmocr_da`` is imported,
  which adapts the hosts (``compat``) before one of them reads a checkpoint or needs an operator.
"""

import sys

TYPE_CHECKING = False  # as in `typing`, which a start of Python need not import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def register_configs(utils: 'ModuleType') -> None:
    """Let ``_base_ = ['mmocr_da::assda/...']`` and MMEngine's hub find our configs.

    MMEngine takes the value for a distribution first and for a module second, then looks for
    ``.mim`` in the folder of its file. A module, because the distribution of an editable install
    is in site-packages, where the configs are not.
    """
    utils.MODULE2PACKAGE['mmocr_da'] = 'mmocr_da.registry'


def register_models(infer: 'ModuleType') -> None:
    """Let ``TextRecInferencer('NAME')`` find the recognizers of this package, beside MMOCR's.

    MMEngine lists the models of the package in a folder: one that holds ``mmocr``, or is in it.
    """
    listed = infer.BaseInferencer._get_models_from_metafile
    if listed.__name__ == 'with_ours':
        return

    def with_ours(folder: str) -> 'Iterator[dict[str, Any]]':
        yield from listed(folder)
        import os

        if 'mmocr' in (*os.listdir(folder), os.path.basename(os.path.dirname(folder))):
            yield from _published()

    infer.BaseInferencer._get_models_from_metafile = staticmethod(with_ours)


def _published() -> 'list[dict[str, Any]]':
    try:
        from mmocr_da.model_zoo import published_here

        return [*published_here()]
    except Exception:  # as in `import_package`
        return []


def import_package(_: 'ModuleType | None' = None) -> None:
    """Import ``mmocr_da``, or do nothing if that fails."""
    try:
        import mmocr_da  # noqa: F401
    # It is no longer installed, or the hosts are of other versions. A program that does not use it
    # must not notice; one that does gets the error when it names `mmocr_da`.
    except Exception:
        pass


class Finder:
    """Finds no module itself; adds an action to what the other finders find."""

    def __init__(self) -> None:
        self.actions: dict[str, Callable[[ModuleType], None]] = {
            'mmengine.config.utils': register_configs,
            'mmengine.infer.infer': register_models,
            'mmengine.runner': import_package,
        }

    def find_spec(
        self,
        name: str,
        path: 'Sequence[str] | None' = None,
        target: 'ModuleType | None' = None,
    ) -> 'ModuleSpec | None':
        if name == 'torchvision' and 'mmengine' in sys.modules:
            import_package()
        # Removed during the search below, which comes back to this finder.
        action = self.actions.pop(name, None)
        if action is None:
            return None
        try:
            from importlib.util import find_spec

            spec = find_spec(name)
        finally:
            self.actions[name] = action
        if spec is not None and spec.loader is not None:
            _run_after(spec.loader, action)
        return spec


def _run_after(loader: 'Loader', action: 'Callable[[ModuleType], None]') -> None:
    execute = loader.exec_module

    def exec_module(module: 'ModuleType') -> None:
        execute(module)
        action(module)

    # For this one loader; its class serves other modules.
    loader.exec_module = exec_module  # type: ignore[method-assign]


def install() -> None:
    """Put a :class:`Finder` before those of Python."""
    sys.meta_path.insert(0, Finder())
