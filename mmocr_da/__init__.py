"""Domain adaptation for text recognition, as a plug-in of MMOCR 1.x.

Importing it checks and adapts the hosts (``compat``) and makes its names known to MMEngine
(``registry``); models, datasets and metrics load when a config first names one, as
``type='mmocr_da.X'``. :func:`mmocr_da.adapt <mmocr_da.adaptation.adapt>` is ``tools/adapt.py`` as
a function, and :func:`mmocr_da.export_onnx <mmocr_da.onnx_export.export_onnx>` is
``tools/export_onnx.py``.
"""

from importlib import import_module
from typing import Any

from mmocr_da import compat, cpu
from mmocr_da.version import __version__

# OpenMP reads these settings when torch is first imported, which `compat` does.
cpu.spin_briefly()
# Must come before any import of MMOCR, which may fail without the adaptations.
compat.check_hosts()
compat.apply()

from mmocr_da import registry  # noqa: E402, F401

#: Functions of the package, and the modules that have them.
_FUNCTIONS = dict(adapt='mmocr_da.adaptation', export_onnx='mmocr_da.onnx_export')

__all__ = ['__version__', 'adapt', 'export_onnx']


def __getattr__(name: str) -> Any:
    # What adapts a recognizer imports nearly everything, and most programs need little.
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
