"""Drops labels that are not polygons before anything computes with them."""

import logging

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmocr_da.registry import TRANSFORMS

from .notes import note

#: Keys with one entry per label of an image.
OF_LABELS = ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignored', 'gt_polygons', 'gt_texts')


@TRANSFORMS.register_module()
class CheckPolygons(BaseTransform):
    """Drop labels with fewer than 3 points or coordinates that are not finite.

    Put it right after ``LoadOCRAnnotations``: such a label makes MMOCR's ``Resize`` and its metrics
    stop with an error that names no image. The log names the first label of each kind;
    :class:`NotesHook` counts all of them after each validation and at the end.

    Modified Keys, if present: gt_polygons, gt_bboxes, gt_bboxes_labels, gt_ignored, gt_texts.
    """

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def transform(self, results: dict) -> dict:
        """Return ``results`` without the labels that are not polygons."""
        flaws = [polygon_flaw(polygon) for polygon in results.get('gt_polygons', ())]
        if not any(flaws):
            return results
        path = results.get('img_path') or 'an image'
        for polygon, flaw in zip(results['gt_polygons'], flaws):
            if flaw is not None:
                note(f'labels are left out: {flaw}', f'{path} {_shorten(polygon)}')
                log_first(self._logged, flaw, polygon, path, type(self).__name__)
        kept = [i for i, flaw in enumerate(flaws) if flaw is None]
        for key in set(OF_LABELS) & results.keys():
            value = results[key]
            results[key] = (
                value[kept] if isinstance(value, np.ndarray) else [value[i] for i in kept]
            )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def polygon_flaw(polygon: np.ndarray) -> str | None:
    """Return why ``[x1, y1, x2, y2, ...]`` is not a polygon; None if it is one."""
    polygon = np.asarray(polygon, np.float32)
    if not np.isfinite(polygon).all():
        return 'a coordinate is not a finite number'
    if polygon.size < 6 or polygon.size % 2:
        return 'it has fewer than 3 points'
    return None


def log_first(logged: set, reason: str, polygon: np.ndarray, img_path: str | None, by: str) -> None:
    """Log a label that is left out, unless one was logged for the same reason."""
    if reason in logged:
        return
    logged.add(reason)
    print_log(
        f'{by} leaves out a label of {img_path or "an image"}, because {reason}: '
        f'{_shorten(polygon)}. Further ones of this kind are not listed',
        'current',
        logging.WARNING,
    )


def _shorten(polygon: np.ndarray) -> list:
    return np.round(np.asarray(polygon, float).ravel()[:8], 1).tolist()
