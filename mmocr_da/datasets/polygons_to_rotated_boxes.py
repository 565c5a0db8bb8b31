"""Labels of a rotated detector: polygons in, rotated boxes out."""
import logging
from typing import Dict, Optional

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmocr_da.registry import TRANSFORMS
from mmocr_da.structures import RotatedBoxes, polygons_to_rotated


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
        self._named = set()

    def transform(self, results: Dict) -> Dict:
        """See the class."""
        polygons = [np.asarray(p, np.float32).reshape(-1) for p in results.pop('gt_polygons')]
        ignored = np.asarray(results.pop('gt_ignored', np.zeros(len(polygons), bool)), bool)
        boxes, kept = [], []
        for i, polygon in enumerate(polygons):
            box = polygons_to_rotated([polygon]) if self._is_polygon(polygon) else None
            reason = self._refuse(polygon, box, results['img_shape'])
            if reason is None:
                boxes.append(box)
                kept.append(i)
            else:
                self._name(reason, polygon, results.get('img_path'))
        kept = np.array(kept, int)
        results['gt_bboxes'] = RotatedBoxes(torch.cat(boxes) if boxes else torch.zeros(0, 5))
        results['gt_bboxes_labels'] = np.asarray(results['gt_bboxes_labels'])[kept]
        results['gt_ignore_flags'] = ignored[kept]
        return results

    @staticmethod
    def _is_polygon(polygon: np.ndarray) -> bool:
        return len(polygon) >= 6 and len(polygon) % 2 == 0 and bool(np.isfinite(polygon).all())

    def _refuse(self, polygon: np.ndarray, box: Optional[torch.Tensor], img_shape) -> Optional[str]:
        if box is None:
            return ('it has fewer than 3 points' if np.isfinite(polygon).all() else
                    'a coordinate is not a finite number')
        if box[0, 2:4].min() < self.min_size:
            return f'a side of its box is under {self.min_size:g} px'
        if not RotatedBoxes(box).is_inside(img_shape).item():
            return 'it is outside the image'
        return None

    def _name(self, reason: str, polygon: np.ndarray, img_path: Optional[str]) -> None:
        if reason in self._named:
            return
        self._named.add(reason)
        print_log(f'PolygonsToRotatedBoxes leaves out a label of {img_path or "an image"}, because '
                  f'{reason}: {np.round(polygon[:8], 1).tolist()}. Further ones of this kind are '
                  'left out without a word', 'current', logging.WARNING)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(min_size={self.min_size})'
