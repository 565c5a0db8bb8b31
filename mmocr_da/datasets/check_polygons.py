"""Labels that are no polygon are left out before anything computes with them."""

import logging

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmocr_da.registry import TRANSFORMS

from .notes import note

#: What belongs to the labels of an image, one entry each.
OF_LABELS = ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignored', 'gt_polygons', 'gt_texts')


@TRANSFORMS.register_module()
class CheckPolygons(BaseTransform):
    """Leave out labels with fewer than 3 points or coordinates that are no numbers.

    It stands right after ``LoadOCRAnnotations``: on such a label MMOCR's ``Resize`` and its metrics
    stop with an error that names no image. The first of each kind is named in the log, all are
    counted there after each validation and at the end (:class:`NotesHook`).

    Modified Keys: gt_polygons, gt_bboxes, gt_bboxes_labels, gt_ignored, gt_texts, if there.
    """

    def __init__(self) -> None:
        self._named: set[str] = set()

    def transform(self, results: dict) -> dict:
        """See the class."""
        flaws = [polygon_flaw(polygon) for polygon in results.get('gt_polygons', ())]
        if not any(flaws):
            return results
        path = results.get('img_path') or 'an image'
        for polygon, flaw in zip(results['gt_polygons'], flaws):
            if flaw is not None:
                note(f'labels are left out: {flaw}', f'{path} {_shorten(polygon)}')
                name_once(self._named, flaw, polygon, path, type(self).__name__)
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
    """Why ``[x1, y1, x2, y2, ...]`` is no polygon; None if it is one."""
    polygon = np.asarray(polygon, np.float32)
    if not np.isfinite(polygon).all():
        return 'a coordinate is not a finite number'
    if polygon.size < 6 or polygon.size % 2:
        return 'it has fewer than 3 points'
    return None


def name_once(named: set, reason: str, polygon: np.ndarray, img_path: str | None, by: str) -> None:
    """Log the first label that is left out for a reason."""
    if reason in named:
        return
    named.add(reason)
    print_log(
        f'{by} leaves out a label of {img_path or "an image"}, because {reason}: '
        f'{_shorten(polygon)}. Further ones of this kind get no line of their own',
        'current',
        logging.WARNING,
    )


def _shorten(polygon: np.ndarray) -> list:
    return np.round(np.asarray(polygon, float).ravel()[:8], 1).tolist()
