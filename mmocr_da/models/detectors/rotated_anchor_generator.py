"""Rotated anchors of RRPN (Ma et al., IEEE TMM 2018, arXiv:1703.01086)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from torch import Tensor

from mmocr_da.arguments import check_flag, check_list, check_numbers
from mmocr_da.device import on_device
from mmocr_da.registry import TASK_UTILS
from mmocr_da.structures import RotatedBoxes, regularize


@TASK_UTILS.register_module()
class RotatedAnchorGenerator(AnchorGenerator):
    """Anchors of several scales, ratios and angles at each location.

    Args:
        strides: See ``AnchorGenerator``, also for all arguments that are not listed here.
        ratios: Height by width, as in ``AnchorGenerator``. Text is wide: 0.5, 0.2, 0.125 in RRPN.
        angles: In degrees, clockwise. The default are the six of RRPN, in ``[-90, 90)``.
        use_box_type: Return :class:`~mmocr_da.structures.RotatedBoxes` instead of tensors.

    Raises:
        ValueError: If ``angles`` is empty.
    """

    def __init__(
        self,
        strides: Sequence[int | tuple[int, int]],
        ratios: Sequence[float],
        angles: Sequence[float] = (-90, -60, -30, 0, 30, 60),
        use_box_type: bool = True,
        **kwargs: Any,
    ) -> None:
        check_list('strides', strides, (int, tuple, list), 'strides')
        check_numbers('ratios', ratios, above=0)
        check_numbers('angles', angles)
        check_flag('use_box_type', use_box_type)
        self.angles = tuple(math.radians(angle) for angle in angles)
        super().__init__(strides, ratios, use_box_type=use_box_type, **kwargs)

    def gen_single_level_base_anchors(
        self,
        base_size: int | float,
        scales: Tensor,
        ratios: Tensor,
        center: tuple[float] | None = None,
    ) -> Tensor:
        """Return ``(A, 5)`` anchors around the origin; the angle changes fastest."""
        flat = super().gen_single_level_base_anchors(base_size, scales, ratios, center)
        flat = bbox_xyxy_to_cxcywh(flat)
        angles = flat.new_tensor(self.angles).repeat(len(flat))
        return regularize(
            torch.cat([flat.repeat_interleave(len(self.angles), 0), angles[:, None]], 1)
        )

    def single_level_grid_priors(
        self,
        featmap_size: tuple[int, int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = 'cuda',
    ) -> Tensor | RotatedBoxes:
        """Return ``(H * W * A, 5)`` anchors, location by location."""
        height, width = featmap_size
        location = torch.arange(height * width, device=device)
        anchors = self._at(location, width, level_idx, dtype)
        anchors = (anchors[:, None] + self._base(level_idx, dtype, device)).flatten(0, 1)
        return RotatedBoxes(anchors) if self.use_box_type else anchors

    def sparse_priors(
        self,
        prior_idxs: Tensor,
        featmap_size: tuple[int, int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = 'cuda',
    ) -> Tensor:
        """Return rows ``prior_idxs`` of :meth:`single_level_grid_priors`, as a tensor."""
        prior_idxs = prior_idxs.to(device)
        base = self._base(level_idx, dtype, device)
        location = self._at(prior_idxs // len(base), featmap_size[1], level_idx, dtype)
        return location + base[prior_idxs % len(base)]

    def _base(self, level_idx: int, dtype: torch.dtype, device: str | torch.device) -> Tensor:
        return on_device(self.base_anchors[level_idx], device, dtype)

    def _at(self, location: Tensor, width: int, level_idx: int, dtype: torch.dtype) -> Tensor:
        """Shifts of the base anchors at locations that are counted row by row."""
        stride_w, stride_h = self.strides[level_idx]
        shift = torch.stack([location % width * stride_w, location // width * stride_h], 1)
        return torch.nn.functional.pad(shift.to(dtype), (0, 3))
