"""What moves the pixels of a view, as MMDetection's transforms record it."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from mmdet.datasets.transforms import RandomCrop
from mmocr.datasets.transforms import ConditionApply, TorchVisionWrapper
from numpy.typing import NDArray

#: Where MMDetection's transforms record how they have moved pixels, a matrix ``(3, 3)``.
RECORD = 'homography_matrix'
#: Transforms that move pixels, of all packages.
MOVING = frozenset(
    {
        'Albu',
        'BoundedScaleAspectJitter',
        'CachedMixUp',
        'CachedMosaic',
        'CenterCrop',
        'CropAndResize',
        'Expand',
        'ImgAugWrapper',
        'MinIoURandomCrop',
        'MixUp',
        'Mosaic',
        'PerspectiveJitter',
        'PiecewiseAffine',
        'RandomAffine',
        'RandomCenterCropPad',
        'RandomCrop',
        'RandomFlip',
        'RandomRotate',
        'RandomShift',
        'RescaleToHeight',
        'Resize',
        'ShortScaleAspectJitter',
        'TextAugmentation',
        'TextDetRandomCrop',
        'TextDetRandomCropFlip',
        'TextRecogGeneralAug',
    }
)
#: Those of torchvision, in MMOCR's ``TorchVisionWrapper``.
MOVING_OF_TORCHVISION = frozenset(
    {
        'AugMix',
        'AutoAugment',
        'CenterCrop',
        'ElasticTransform',
        'Pad',
        'RandAugment',
        'RandomAffine',
        'RandomCrop',
        'RandomHorizontalFlip',
        'RandomPerspective',
        'RandomResizedCrop',
        'RandomRotation',
        'RandomVerticalFlip',
        'Resize',
        'TrivialAugmentWide',
    }
)
#: Transforms that choose a size and leave the rest to another one, their ``resize``.
RESIZING = frozenset({'RandomChoiceResize', 'RandomResize', 'ResizeShortestEdge'})


def run(steps: Iterable[Any], results: dict[str, Any]) -> tuple[Any, NDArray[Any]]:
    """Run the steps of a pipeline that ends by packing.

    Returns:
        What the last step returned, None if one returned None; and the matrix that was recorded
        before, the identity without one.
    """
    data: Any = results
    matrix = results.get(RECORD)
    for step in steps:
        data = step(data)
        if data is None:
            break
        matrix = data.get(RECORD, matrix)
    return data, np.eye(3) if matrix is None else np.asarray(matrix, float)


def between(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any] | None:
    """The matrix from one view to another, whose matrices begin at the same image.

    Returns:
        ``(3, 3)``, or None if they are the same.
    """
    if np.array_equal(first, second):
        return None
    matrix: NDArray[Any] = second @ np.linalg.inv(first)
    return matrix


def unrecorded(steps: Iterable[Any]) -> tuple[str, ...]:
    """Names of the transforms that move pixels and do not record how."""
    found = (step for step in _single(steps) if _moves(step) and not _records(step))
    return tuple(dict.fromkeys(type(step).__name__ for step in found))


def _single(steps: Iterable[Any]) -> Iterator[Any]:
    """All transforms, also within those that choose among others."""
    for step in steps:
        if hasattr(step, '__iter__'):
            yield from _single(step)
        elif isinstance(step, ConditionApply):
            yield from _single([*step.true_transforms, *step.false_transforms])
        elif type(step).__name__ in RESIZING:
            yield step.resize
        else:
            yield step


def _moves(step: Any) -> bool:
    if isinstance(step, TorchVisionWrapper):
        return step.op in MOVING_OF_TORCHVISION
    return type(step).__name__ in MOVING


def _records(step: Any) -> bool:
    return hasattr(step, '_record_homography_matrix') or isinstance(step, RandomCrop)
