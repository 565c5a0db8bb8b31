"""Labels of a rotated detector: polygons in, rotated boxes out."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmocr_da.registry import TRANSFORMS
from mmocr_da.structures import RotatedBoxes, polygons_to_rotated

from .check_polygons import name_once, polygon_flaw


@TRANSFORMS.register_module()
class PolygonsToRotatedBoxes(BaseTransform):
    """Make the smallest rotated box of each polygon; MMOCR's ``MMOCR2MMDet`` for boxes.

    It stands behind everything that moves polygons, so boxes are right whatever that was, and
    before ``mmdet.PackDetInputs``. Labels that are no box in the image are left out: fewer than 3
    points, coordinates that are no numbers, a side under ``min_size``, nothing of it in the image.
    The first of each kind is named in the log.

    Required Keys:

    - img_shape
    - gt_polygons
    - gt_bboxes_labels
    - gt_ignored (optional)

    Added Keys:

    - gt_bboxes (RotatedBoxes)
    - gt_bboxes_labels
    - gt_ignore_flags

    Args:
        min_size: Shortest side that a box may have, in px.
    """

    def __init__(self, min_size: float = 1.0) -> None:
        if not min_size > 0:
            raise ValueError(f'min_size must be above 0 px, got {min_size!r}')
        self.min_size = min_size
        self._named: set[str] = set()

    def transform(self, results: dict) -> dict:
        """See the class."""
        polygons = [np.asarray(p, np.float32).reshape(-1) for p in results.pop('gt_polygons')]
        ignored = np.asarray(results.pop('gt_ignored', np.zeros(len(polygons), bool)), bool)
        flaws = [polygon_flaw(polygon) for polygon in polygons]
        whole = [i for i, flaw in enumerate(flaws) if flaw is None]
        boxes = polygons_to_rotated([polygons[i] for i in whole])
        flat = (boxes[:, 2:4] < self.min_size).any(1)
        inside = RotatedBoxes(boxes).is_inside(results['img_shape'])
        for i, is_flat, is_inside in zip(whole, flat.tolist(), inside.tolist()):
            if is_flat:
                flaws[i] = f'a side of its box is under {self.min_size:g} px'
            elif not is_inside:
                flaws[i] = 'it is outside the image'
        for polygon, flaw in zip(polygons, flaws):
            if flaw is not None:
                name_once(self._named, flaw, polygon, results.get('img_path'), type(self).__name__)
        kept = np.array([i for i, flaw in enumerate(flaws) if flaw is None], int)
        results['gt_bboxes'] = RotatedBoxes(boxes[inside & ~flat])
        results['gt_bboxes_labels'] = np.asarray(results['gt_bboxes_labels'])[kept]
        results['gt_ignore_flags'] = ignored[kept]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(min_size={self.min_size})'
