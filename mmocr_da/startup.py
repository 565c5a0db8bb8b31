"""Lets the tools of MMOCR and MMEngine know this package although they do not import it.

``setup.py`` puts the text of this file into ``mmocr_da.pth``, which Python runs at every start.  So
it imports nothing that is not there already, and only waits for MMEngine:

* its config reader learns where ``mmocr_da::`` leads;
* with its runner, or with torchvision in a program that uses MMEngine, ``mmocr_da`` is imported,
  which adapts the hosts (``compat``) before one of them reads a checkpoint or needs an operator.
"""

import sys


def register_configs(utils):
    """Let ``_base_ = ['mmocr_da::assda/...']`` and MMEngine's hub find our configs.

    MMEngine takes the value for a distribution first and for a module second, then looks for
    ``.mim`` in the folder of its file. A module, because the distribution of an editable install
    is in site-packages, where the configs are not.
    """
    utils.MODULE2PACKAGE['mmocr_da'] = 'mmocr_da.registry'


def import_package(_=None):
    try:
        import mmocr_da  # noqa: F401
    # Not installed any more, or for other hosts: a program that does not use it shall not notice,
    # and one that does gets the error when it names `mmocr_da`.
    except Exception:
        pass


class Finder:
    """Finds no module itself; adds an action to what the other finders find."""

    def __init__(self):
        self.actions = {
            'mmengine.config.utils': register_configs,
            'mmengine.runner': import_package,
        }

    def find_spec(self, name, path=None, target=None):
        if name == 'torchvision' and 'mmengine' in sys.modules:
            import_package()
        # Taken out while the others are asked, who are asked through this finder as well.
        action = self.actions.pop(name, None)
        if action is None:
            return None
        try:
            from importlib.util import find_spec

            spec = find_spec(name)
        finally:
            self.actions[name] = action
        if spec is not None:
            _run_after(spec.loader, action)
        return spec


def _run_after(loader, action):
    execute = loader.exec_module

    def exec_module(module):
        execute(module)
        action(module)

    loader.exec_module = exec_module


def install():
    sys.meta_path.insert(0, Finder())
