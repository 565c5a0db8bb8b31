"""Whether a plain model reads as the adapted one that it was made from."""

import copy

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from torch import Tensor

#: What a dataset knows of an image and a file does not.
OF_DATASETS = ('instances', 'sample_idx')


def test_pipeline(cfg: Config) -> list[ConfigDict]:
    """Return the transforms of the test data, or of its first dataset if each has its own."""
    dataset = cfg.test_dataloader.dataset
    while not dataset.get('pipeline'):
        dataset = dataset['datasets'][0] if 'datasets' in dataset else dataset['dataset']
    return copy.deepcopy(list(dataset.pipeline))


def inference_pipeline(cfg: Config) -> Compose:
    """Return the config's test pipeline for images without labels, given as path or array.

    As in MMOCR's inferencers.
    """
    pipeline = []
    for transform in test_pipeline(cfg):
        name = transform['type'].split('.')[-1]
        if name in ('LoadImageFromFile', 'LoadImageFromNDArray'):
            transform['type'] = 'InferencerLoader'
        if 'meta_keys' in transform:
            transform['meta_keys'] = [
                key for key in transform['meta_keys'] if key not in OF_DATASETS
            ]
        if name != 'LoadOCRAnnotations':
            pipeline.append(transform)
    return Compose(pipeline)


def random_batch(cfg: Config, seed: int = 0, num: int = 4) -> dict:
    """Return ``num`` images of noise, of different sizes, as the test pipeline hands them on."""
    rng = np.random.default_rng(seed)
    pipeline = inference_pipeline(cfg)
    shapes = [(int(rng.integers(24, 48)), int(rng.integers(40, 160)), 3) for _ in range(num)]
    return pseudo_collate(
        [pipeline(rng.integers(0, 256, shape).astype(np.uint8)) for shape in shapes]
    )


@torch.no_grad()
def same_predictions(first: BaseModel, second: BaseModel, batch: dict) -> bool:
    """Whether two recognizers read the same texts from the same class probabilities.

    Texts alone would say little: noise may be read as the empty text by any model.
    """
    readings, outputs = [], []
    for model in (first, second):
        model.eval()
        readings.append([s.pred_text.item for s in model.test_step(copy.deepcopy(batch))])
        data = model.data_preprocessor(copy.deepcopy(batch), False)
        outputs.append(model(**data, mode='tensor'))
    return readings[0] == readings[1] and _close(*outputs)


def _close(first, second) -> bool:
    if isinstance(first, Tensor):
        return first.shape == second.shape and torch.allclose(first, second, atol=1e-6)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_close(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_close, first, second))
    return first == second
