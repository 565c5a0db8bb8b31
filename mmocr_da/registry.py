"""Registries of this package: children of MMEngine's roots, so configs write ``mmocr_da.X``.

They are siblings of MMOCR's registries, not children. MMEngine looks up a prefix among the direct
children of the root only, so ``mmocr_da.X`` works from every scope, also inside a part that
MMDetection builds.
"""

import mmengine.config.utils
import mmengine.infer.infer
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import EVALUATOR as MMENGINE_EVALUATOR
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

from mmocr_da.renamed import current_name
from mmocr_da.startup import register_configs, register_models

register_configs(mmengine.config.utils)
register_models(mmengine.infer.infer)


class _Registry(Registry):
    """A registry that looks a name up in MMOCR if it has no such name itself.

    MMEngine gives the scope ``mmocr_da`` to everything that a config takes from ``mmocr_da::``, and
    then looks for bare names like ``CRNN`` only here and in its own root. MMOCR comes before the
    root, because the root has another ``ConcatDataset``.
    """

    def get(self, key: str) -> type | None:
        self.import_from_location()
        key = current_name(key.removeprefix('mmocr_da.'))
        known = '.' in key or key in self._module_dict
        return super().get(key if known else f'mmocr.{key}')


def _child(parent: Registry, location: str) -> _Registry:
    return _Registry(
        parent.name, parent=parent, scope='mmocr_da', locations=[f'mmocr_da.{location}']
    )


MODELS = _child(MMENGINE_MODELS, 'models')
DATASETS = _child(MMENGINE_DATASETS, 'datasets')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'datasets')
METRICS = _child(MMENGINE_METRICS, 'evaluation')
HOOKS = _child(MMENGINE_HOOKS, 'engine')
LOOPS = _child(MMENGINE_LOOPS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child(MMENGINE_PARAM_SCHEDULERS, 'engine')
TASK_UTILS = _child(MMENGINE_TASK_UTILS, 'models')
# This package registers nothing in these: they only pass names on to MMOCR. They need a location,
# because with an empty list MMEngine would look for one.
EVALUATOR = _child(MMENGINE_EVALUATOR, 'registry')
LOG_PROCESSORS = _child(MMENGINE_LOG_PROCESSORS, 'registry')
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'registry')
VISBACKENDS = _child(MMENGINE_VISBACKENDS, 'registry')
VISUALIZERS = _child(MMENGINE_VISUALIZERS, 'registry')
