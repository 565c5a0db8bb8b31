"""Domain adaptation for text recognition, as a plug-in of MMOCR 1.x.

Importing it checks and adapts the hosts (``compat``) and makes its names known to MMEngine
(``registry``); models, datasets and metrics load when a config first names one, as
``type='mmocr_da.X'``.
"""

from mmocr_da import compat, cpu
from mmocr_da.version import __version__

# OpenMP reads it when torch is first imported, here in `compat`.
cpu.spin_briefly()
# Before anything imports MMOCR, whose own imports may already fail without.
compat.check_hosts()
compat.apply()

from mmocr_da import registry  # noqa: E402, F401

__all__ = ['__version__']
