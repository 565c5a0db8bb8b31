"""Rotated boxes as offsets from other boxes (RRPN, Ma et al., arXiv:1703.01086)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

from mmocr_da.arguments import check_flag, check_numbers
from mmocr_da.device import constant
from mmocr_da.registry import TASK_UTILS
from mmocr_da.structures import RotatedBoxes, regularize, rotate


@TASK_UTILS.register_module()
class DeltaXYWHTBBoxCoder(BaseBBoxCoder):
    """Boxes ``(..., 5)`` as offsets ``(dx, dy, dw, dh, dangle)`` from anchors or proposals.

    ``dx, dy`` are differences of centres in units of the anchor's width and height, ``dw, dh``
    logarithms of ratios, ``dangle`` the difference of the angles modulo pi, in radians.

    Args:
        target_means: Subtracted from the offsets, 5 numbers.
        target_stds: Divisors of the offsets after that, 5 numbers.
        proj_xy: Measure the centres along the sides of the anchor. RRPN measures them along the
            axes of the image: there, a shift by the height of a vertical line would be small.
        use_box_type: Decode to :class:`~mmocr_da.structures.RotatedBoxes` instead of tensors.

    Raises:
        ValueError: If means or deviations are not 5 numbers.
    """

    encode_size = 5

    def __init__(
        self,
        target_means: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0),
        target_stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0, 1.0),
        proj_xy: bool = True,
        use_box_type: bool = True,
    ) -> None:
        super().__init__(use_box_type)
        for name, value in (('target_means', target_means), ('target_stds', target_stds)):
            if not isinstance(value, (list, tuple)) or len(value) != 5:
                raise ValueError(
                    f'{name} must be 5 numbers, for x, y, w, h and the angle, got {value!r}'
                )
            check_numbers(name, value, above=0 if name == 'target_stds' else None)
        check_flag('proj_xy', proj_xy)
        check_flag('use_box_type', use_box_type)
        self.means = tuple(target_means)
        self.stds = tuple(target_stds)
        self.proj_xy = proj_xy

    def encode(self, bboxes: Tensor | BaseBoxes, gt_bboxes: Tensor | BaseBoxes) -> Tensor:
        """Encode boxes as offsets, ``(N, 5), (N, 5) -> (N, 5)``, with sizes of at least 1e-3 px."""
        box, gt = get_box_tensor(bboxes), get_box_tensor(gt_bboxes)
        size, gt_size = box[:, 2:4].clamp(min=1e-3), gt[:, 2:4].clamp(min=1e-3)
        shift = gt[:, :2] - box[:, :2]
        if self.proj_xy:
            shift = rotate(shift, -box[:, 4])
        angle = (gt[:, 4:] - box[:, 4:] + math.pi / 2) % math.pi - math.pi / 2
        deltas = torch.cat([shift / size, (gt_size / size).log(), angle], 1)
        return (deltas - constant(self.means, deltas)) / constant(self.stds, deltas)

    def decode(
        self,
        bboxes: Tensor | BaseBoxes,
        pred_bboxes: Tensor,
        max_shape: Sequence[int] | None = None,
        wh_ratio_clip: float = 16 / 1000,
    ) -> Tensor | RotatedBoxes:
        """Decode offsets to boxes, the inverse of :meth:`encode`.

        Args:
            bboxes: Anchors or proposals, ``(N, 5)``.
            pred_bboxes: Offsets for ``C`` classes, ``(N, C * 5)``.
            max_shape: Part of the interface, not used: rotated boxes are not clipped.
            wh_ratio_clip: Sizes change by at most this factor.

        Returns:
            ``(N, C * 5)``, as a box type only if ``C`` is 1.
        """
        box = get_box_tensor(bboxes)
        classes = pred_bboxes.size(1) // 5
        box = box.repeat_interleave(classes, 0)
        # Half precision has steps of 0.5 px and more at 1,000 px.
        deltas = pred_bboxes.reshape(-1, 5).to(torch.promote_types(box.dtype, torch.float32))
        deltas = deltas * constant(self.stds, deltas) + constant(self.means, deltas)
        size = box[:, 2:4]
        shift = deltas[:, :2] * size
        if self.proj_xy:
            shift = rotate(shift, box[:, 4])
        limit = abs(np.log(wh_ratio_clip))
        decoded = regularize(
            torch.cat(
                [
                    box[:, :2] + shift,
                    size * deltas[:, 2:4].clamp(-limit, limit).exp(),
                    box[:, 4:] + deltas[:, 4:],
                ],
                1,
            )
        ).reshape(pred_bboxes.shape)
        return RotatedBoxes(decoded) if self.use_box_type and classes == 1 else decoded
