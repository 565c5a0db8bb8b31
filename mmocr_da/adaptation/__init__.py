"""From a checkpoint and unlabelled images to a better recognizer. In: names. Out: files, numbers.

One file per step: ``request`` (what the user asks for), ``recognizers`` and ``pipelines`` (what
their config holds), ``image_sources`` (where images and labels are), ``compose`` (the config that
is trained), ``checks``, ``estimate`` and ``views`` (before training), ``comparison`` (after it),
``run`` (all of it).
"""

from .request import Request
from .run import Adaptation, adapt

__all__ = ['Adaptation', 'Request', 'adapt']
