"""Labels of a rotated detector: converts polygons to rotated boxes."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmocr_da.arguments import check_number
from mmocr_da.registry import TRANSFORMS
from mmocr_da.structures import RotatedBoxes, polygons_to_rotated

from .check_polygons import log_first, polygon_flaw


@TRANSFORMS.register_module()
class PolygonsToRotatedBoxes(BaseTransform):
    """Convert each polygon to its smallest rotated box.

    It is the counterpart of MMOCR's ``MMOCR2MMDet``, which converts to axis-parallel boxes.

    Put it after all transforms that move polygons and before ``mmdet.PackDetInputs``. Labels are
    dropped if they have fewer than 3 points, coordinates that are not finite, a side under
    ``min_size``, or nothing inside the image. The log names the first label of each kind.

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
        check_number('min_size', min_size, above=0, why='it is in px')
        self.min_size = min_size
        self._logged: set[str] = set()

    def transform(self, results: dict) -> dict:
        """Return ``results`` with boxes instead of polygons."""
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
                log_first(self._logged, flaw, polygon, results.get('img_path'), type(self).__name__)
        kept = np.array([i for i, flaw in enumerate(flaws) if flaw is None], int)
        results['gt_bboxes'] = RotatedBoxes(boxes[inside & ~flat])
        results['gt_bboxes_labels'] = np.asarray(results['gt_bboxes_labels'])[kept]
        results['gt_ignore_flags'] = ignored[kept]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(min_size={self.min_size})'
