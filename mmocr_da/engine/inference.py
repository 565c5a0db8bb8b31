"""Prepares images for a model as testing does."""

import copy

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate

#: Keys that a dataset adds to an image and that a single file does not have.
OF_DATASETS = ('instances', 'sample_idx')


def test_pipeline(cfg: Config) -> list[ConfigDict]:
    """Return the transforms of the test data, or of its first dataset if each has its own."""
    dataset = cfg.test_dataloader.dataset
    while not dataset.get('pipeline'):
        dataset = dataset['datasets'][0] if 'datasets' in dataset else dataset['dataset']
    return copy.deepcopy(list(dataset.pipeline))


def inference_pipeline(cfg: Config) -> Compose:
    """Return the config's test pipeline for images without labels, given as path or array.

    It changes the pipeline as MMOCR's inferencers do.
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
    """Return a batch of ``num`` noise images of different sizes from the test pipeline."""
    rng = np.random.default_rng(seed)
    pipeline = inference_pipeline(cfg)
    shapes = [(int(rng.integers(24, 48)), int(rng.integers(40, 160)), 3) for _ in range(num)]
    return pseudo_collate(
        [pipeline(rng.integers(0, 256, shape).astype(np.uint8)) for shape in shapes]
    )
