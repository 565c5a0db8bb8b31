"""Regions that a detector predicts in training images, and their use as labels."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_project
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import BaseDataElement, InstanceData
from mmocr.structures import TextDetDataSample
from mmocr.utils import poly2shapely, poly_make_valid
from numpy.typing import NDArray
from shapely.geometry import box
from torch import Tensor, nn

from mmocr_da.structures import RotatedBoxes

#: Coordinates of the smallest polygon that all losses of MMOCR can use, four points.
LEAST_COORDINATES = 8
#: Sides of the smallest box of MMDetection that is a label after it has moved, px.
LEAST_SIDE = 1


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


def move_regions(
    regions: InstanceData, matrix: NDArray[Any], size: tuple[int, int]
) -> InstanceData:
    """Carry regions to another view of the image.

    Polygons are cut at its edges, into several if need be, and boxes become the boxes around what
    is mapped, cut as MMDetection does; rotated boxes are not cut. A region that is outside is left
    out.

    Args:
        regions: See :func:`predict_regions`; it is not changed.
        matrix: ``(3, 3)``, maps points ``(x, y, 1)``.
        size: Height and width of the other view, px.
    """
    if 'polygons' in regions:
        moved = [_parts(p, size) for p in map(partial(_map_points, matrix), regions.polygons)]
        rows = [i for i, parts in enumerate(moved) for _ in parts]
        polygons = [part for parts in moved for part in parts]
        return InstanceData(polygons=polygons, scores=regions.scores[rows])
    boxes = regions.bboxes
    found = InstanceData(scores=regions.scores, labels=regions.labels)
    if boxes.size(-1) == 5:
        rotated = RotatedBoxes(boxes.clone())
        rotated.project_(matrix)
        found.bboxes, inside = rotated.tensor, rotated.is_inside(size)
    else:
        found.bboxes = bbox_project(boxes, boxes.new_tensor(matrix), size)
        inside = (found.bboxes[:, 2:] - found.bboxes[:, :2] >= LEAST_SIDE).all(1)
    if 'masks' in regions:
        found.masks = _map_masks(matrix, regions.masks, size)
    return found[inside]


def _map_points(matrix: NDArray[Any], polygon: NDArray[Any]) -> NDArray[Any]:
    """Map the points of ``[x1, y1, ...]``."""
    points = np.asarray(polygon, float).reshape(-1, 2)
    mapped = np.concatenate([points, np.ones((len(points), 1))], 1) @ matrix.T
    return (mapped[:, :2] / mapped[:, 2:]).astype(np.float32).ravel()


def _parts(polygon: NDArray[Any], size: tuple[int, int]) -> list[NDArray[Any]]:
    """The parts of a polygon within an image, of four points at least."""
    height, width = size
    x, y = polygon[::2], polygon[1::2]
    if x.min() >= 0 and y.min() >= 0 and x.max() <= width and y.max() <= height:
        return [polygon]
    cut = poly_make_valid(poly2shapely(polygon)).intersection(box(0, 0, width, height))
    parts = [part for part in getattr(cut, 'geoms', [cut]) if part.area > 0]
    # The first point is repeated at the end; the order is that of MMOCR's `crop_polygon`.
    outlines = [np.array(part.exterior.coords, np.float32)[:0:-1] for part in parts]
    # A corner is a triangle: its last point counts twice.
    return [np.concatenate([o, o[-1:]] if len(o) == 3 else [o]).ravel() for o in outlines]


def _map_masks(matrix: NDArray[Any], masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Map masks ``(n, H, W)``; the matrix is of edges, and OpenCV's of the middles of pixels."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    of_pixels = np.linalg.inv(half) @ matrix @ half
    mapped = [
        cv2.warpPerspective(mask, of_pixels, size[::-1], flags=cv2.INTER_NEAREST)
        for mask in masks.cpu().numpy().astype(np.uint8)
    ]
    return torch.from_numpy(np.array(mapped, bool).reshape(-1, *size)).to(masks.device)


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
