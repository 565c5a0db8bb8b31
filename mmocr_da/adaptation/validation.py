"""The validation of an adaptation, whose target has no labels, in the config that is written."""

import copy
import math

from mmengine.config import Config
from mmocr.registry import DATASETS

from mmocr_da.reporting.models import ignored

from .config_text import call, literal
from .image_sources import target_dataset
from .request import LAST, Request

#: Target images that a validation takes at most, spread evenly.
VALIDATED = 2000


def validation(request: Request, cfg: Config) -> list[str]:
    """Return lines of a config that validate by a score without labels, or not at all."""
    if request.keep == LAST:
        return [
            '# The target has no labels to validate with.',
            'val_cfg = val_dataloader = val_evaluator = None',
        ]
    dataset = target_dataset(request.target)
    count = len(DATASETS.build(copy.deepcopy(dataset)))
    images = {key: literal(value) for key, value in dataset.items()}
    images['pipeline'] = "[*load, *adapt_views['weak']]"  # as the teacher sees them
    if count > VALIDATED:
        images['indices'] = f'[*range(0, {count}, {math.ceil(count / VALIDATED)})]'
    loader = dict(
        batch_size='batch_size',
        num_workers='1',
        persistent_workers='True',
        sampler="dict(type='DefaultSampler', shuffle=False)",
        dataset=call(images),
    )
    metric = dict(type="'mmocr_da.LabelFreeMetric'", scores=repr([request.keep]))
    metric |= {key: repr(value) for key, value in ignored(cfg).items() if value}
    # A key that the user's config has would be merged with.
    return [
        '# A score of target images, of which no label is known.',
        "val_cfg = dict(type='ValLoop')",
        f'val_dataloader = {call(_replacing("val_dataloader", cfg) | loader)}',
        f'val_evaluator = {call(_replacing("val_evaluator", cfg) | metric)}',
    ]


def _replacing(key: str, cfg: Config) -> dict[str, str]:
    return dict(_delete_='True') if key in cfg else {}


def save_best(request: Request) -> list[str]:
    """Return lines of the hook that writes checkpoints: which one is the best."""
    if request.keep == LAST:
        return []
    return [f"        save_best='label_free/{request.keep}',", "        rule='greater',"]
