"""Domain adaptation for text recognition, as a plug-in of MMOCR 1.x.

Importing it checks and adapts the hosts (``compat``) and makes its names known to MMEngine
(``registry``); models, datasets and metrics load when a config first names one, as
``type='mmocr_da.X'``.
"""

from mmocr_da import compat, cpu
from mmocr_da.version import __version__

# OpenMP reads these settings when torch is first imported, which `compat` does.
cpu.spin_briefly()
# Must come before any import of MMOCR, which may fail without the adaptations.
compat.check_hosts()
compat.apply()

from mmocr_da import registry  # noqa: E402, F401

__all__ = ['__version__']
