"""Regions that a detector predicts in training images, and their use as labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import BaseDataElement, InstanceData
from mmocr.structures import TextDetDataSample
from torch import Tensor, nn

from mmocr_da.structures import RotatedBoxes

#: Coordinates of the smallest polygon that all losses of MMOCR can use, four points.
LEAST_COORDINATES = 8


def predict_regions(
    model: nn.Module, images: Tensor, samples: Sequence[BaseDataElement]
) -> list[InstanceData]:
    """Predict regions of text in the pixels of preprocessed images.

    Args:
        model: A ``SingleStageTextDetector`` or an ``MMDetWrapper``.
        images: ``(N, C, H, W)``.
        samples: Data samples of the images; they are not changed.

    Returns:
        For each image ``scores``, and ``polygons`` or the boxes and masks of MMDetection.
    """
    detector: Any = model
    wrapped = getattr(model, 'wrapped_model', None)
    kind = TextDetDataSample if wrapped is None else DetDataSample
    blank = [kind(metainfo=_in_pixels(sample, images)) for sample in samples]
    if wrapped is not None:
        return [sample.pred_instances for sample in wrapped.predict(images, blank)]
    found = [sample.pred_instances for sample in detector.predict(images, blank)]
    return [_usable(regions) for regions in found]


def _in_pixels(sample: BaseDataElement, images: Tensor) -> dict[str, Any]:
    """The metainfo with which predictions are not scaled to the image that was loaded."""
    meta = dict(sample.metainfo)
    shape = tuple(meta.get('img_shape', images.shape[-2:]))[:2]
    return meta | dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))


def _usable(regions: InstanceData) -> InstanceData:
    """The regions with polygons of at least four points, as arrays ``[x1, y1, ...]``."""
    polygons = [np.asarray(p, np.float32).flatten() for p in regions.polygons]
    scores = torch.as_tensor(regions.scores, dtype=torch.float)
    rows = [i for i, p in enumerate(polygons) if p.size >= LEAST_COORDINATES]
    return InstanceData(polygons=[polygons[i] for i in rows], scores=scores[rows])


def with_labels(
    model: nn.Module, sample: BaseDataElement, regions: InstanceData, kept: Tensor
) -> BaseDataElement:
    """Return a data sample with predicted regions as labels; the others are ignored.

    Args:
        model: The detector that learns them.
        sample: Of the image; only its metainfo is used.
        regions: See :func:`predict_regions`.
        kept: ``(n,)`` bool on the CPU, which regions are labels. The loss ignores the others, where
            it can: they are neither text nor background.
    """
    if hasattr(model, 'wrapped_model'):
        return _with_boxes(sample, regions, kept.to(regions.bboxes.device))
    labelled = TextDetDataSample(metainfo=sample.metainfo)
    points = [p.reshape(-1, 2) for p in regions.polygons]
    labelled.gt_instances = InstanceData(
        # Losses of MMOCR move the points of polygons in place.
        polygons=[p.copy() for p in regions.polygons],
        bboxes=torch.tensor(np.array([[*p.min(0), *p.max(0)] for p in points])).reshape(-1, 4),
        labels=torch.zeros(len(points), dtype=torch.long),
        ignored=~kept,
    )
    return labelled


def _with_boxes(sample: BaseDataElement, regions: InstanceData, kept: Tensor) -> DetDataSample:
    labelled = DetDataSample(metainfo=sample.metainfo)
    boxes = regions.bboxes
    as_type = RotatedBoxes if boxes.size(-1) == 5 else lambda tensor: tensor
    labelled.gt_instances = InstanceData(bboxes=as_type(boxes[kept]), labels=regions.labels[kept])
    labelled.ignored_instances = InstanceData(bboxes=as_type(boxes[~kept]))
    if 'masks' in regions:
        masks = regions.masks[kept].cpu().numpy().astype(np.uint8)
        labelled.gt_instances.masks = BitmapMasks(masks, *regions.masks.shape[-2:])
    return labelled
