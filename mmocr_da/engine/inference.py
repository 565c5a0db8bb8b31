"""Prepares images for a model as testing does, and predicts their texts."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from mmocr.utils import register_all_modules

from mmocr_da.datasets.image_loading import shown_pipeline

from .checkpoint_fit import check_whole
from .checkpoints import check_checkpoint, check_finite, weights_of

#: Keys that a dataset adds to an image and that a single file does not have.
OF_DATASETS = ('instances', 'sample_idx')


def test_pipeline(cfg: Config) -> list[ConfigDict]:
    """Return the transforms of the test data, or of its last dataset if each has its own.

    The last one is the target: see :func:`~mmocr_da.engine.samples.dataset_of`.
    """
    return test_pipelines(cfg)[-1]


def test_pipelines(cfg: Config) -> list[list[ConfigDict]]:
    """Return the transforms of the test data, or of each of its datasets if they have their own."""

    def within(dataset: ConfigDict) -> list[list[ConfigDict]]:
        if dataset.get('pipeline'):
            return [copy.deepcopy(list(dataset.pipeline))]
        parts = dataset['datasets'] if 'datasets' in dataset else [dataset['dataset']]
        return [pipeline for part in parts for pipeline in within(part)]

    return within(cfg.test_dataloader.dataset)


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


def predict_images(
    cfg: Config,
    checkpoint: str,
    items: Sequence[dict],
    device: str = 'cpu',
    batch_size: int = 64,
    surplus: bool = False,
) -> list[TextRecogDataSample]:
    """Predict the texts of images with a recognizer of a checkpoint.

    Args:
        cfg: Config with the model and its test pipeline.
        checkpoint: Its weights; all of them must be there.
        items: Items of a dataset, as before its pipeline; images of an LMDB as ``content``.
        device: Where to compute.
        batch_size: See :func:`predict`.
        surplus: Whether the checkpoint may have weights that the model lacks, as those of a
            training have, and lack constants: it is checked by
            :func:`~mmocr_da.engine.checkpoint_fit.check_whole`.

    Returns:
        A data sample for each item, with ``pred_text``.

    Raises:
        ValueError: If the checkpoint is no whole one, or has weights that are not finite.
        RuntimeError: If its weights are not those of the model, without ``surplus``.
    """
    register_all_modules(init_default_scope=True)
    check_checkpoint(checkpoint, 'checkpoint')
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    weights = weights_of(loaded)
    model = MODELS.build(copy.deepcopy(cfg.model))
    check_finite(weights, model, checkpoint)
    if surplus:
        check_whole(model, loaded, checkpoint)
    else:
        model.load_state_dict(weights, strict=True)
    model.to(device).eval()
    return predict(model, item_pipeline(cfg, items), items, batch_size)


def item_pipeline(cfg: Config, items: Sequence[dict]) -> Compose:
    """Return the config's test pipeline for items of one dataset, as before its pipeline."""
    # If the pipeline expects its dataset to load the image, load it as that dataset would.
    color_type = items[0].get('color_type', 'color') if items else None
    return shown_pipeline(Compose(test_pipeline(cfg)), color_type)


@torch.no_grad()
def predict(
    model: BaseModel,
    pipeline: Callable[[dict], dict],
    items: Iterable[dict],
    batch_size: int = 64,
) -> list[TextRecogDataSample]:
    """Predict the texts of images as MMOCR's test loop does, several at a time.

    Only images of one size are put into a batch: padding would change the predictions. So the
    result is that of one image at a time.

    Args:
        model: A recognizer in evaluation mode, on its device.
        pipeline: From an item to ``inputs`` and ``data_samples``.
        items: Items of a dataset, as before its pipeline.
        batch_size: Most images of a batch.

    Returns:
        A data sample for each item, with ``pred_text``.
    """
    predicted: dict[int, TextRecogDataSample] = {}
    for places, batch in batches(pipeline, items, batch_size):
        predicted.update(zip(places, model.test_step(batch)))
    return [predicted[i] for i in range(len(predicted))]


def batches(
    pipeline: Callable[[dict], dict], items: Iterable[dict], batch_size: int = 64
) -> Iterator[tuple[Sequence[int], dict]]:
    """Prepare images, and yield those of one size together, with their places among the items.

    Args:
        pipeline: From an item to ``inputs`` and ``data_samples``.
        items: Items of a dataset, as before its pipeline.
        batch_size: Most images of a batch.
    """
    waiting: dict[tuple[int, ...], list[tuple[int, dict]]] = {}
    for i, item in enumerate(items):
        packed = pipeline(copy.deepcopy(item))
        size = tuple(packed['inputs'].shape)
        waiting.setdefault(size, []).append((i, packed))
        if len(waiting[size]) == batch_size:
            yield _collated(waiting.pop(size))
    for batch in waiting.values():
        yield _collated(batch)


def _collated(batch: Sequence[tuple[int, dict]]) -> tuple[Sequence[int], dict]:
    places, packed = zip(*batch)
    return places, pseudo_collate(packed)
