"""Models and their parts: batches in, losses by name or predictions out."""

from .backbones import *  # noqa: F401,F403
from .contrastive import *  # noqa: F401,F403
from .data_preprocessors import *  # noqa: F401,F403
from .decoders import *  # noqa: F401,F403
from .detectors import *  # noqa: F401,F403
from .encoders import *  # noqa: F401,F403
from .layers import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .objectives import *  # noqa: F401,F403
from .recognizers import *  # noqa: F401,F403
from .surrogates import *  # noqa: F401,F403
