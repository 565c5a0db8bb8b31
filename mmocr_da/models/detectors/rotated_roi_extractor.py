"""Rotated RoI pooling (RRoI, Ma et al., arXiv:1703.01086), from the levels of a pyramid."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor

from mmocr_da.registry import MODELS


@MODELS.register_module()
class RotatedRoIExtractor(SingleRoIExtractor):
    """Features of rotated boxes, rotated to upright, by ``RoIAlignRotated``.

    RRPN takes the maximum in each cell; this class interpolates, like MMDetection's extractors.

    Args:
        roi_layer: ``output_size``, ``sampling_ratio``, ... of ``RoIAlignRotated``. Its angles are
            clockwise here, as everywhere in this package.
        kwargs: See ``SingleRoIExtractor``.
    """

    def __init__(self, roi_layer: dict[str, Any], **kwargs: Any) -> None:
        if not roi_layer.get('clockwise', True):
            raise ValueError(
                'roi_layer must have clockwise=True, the convention of rotated boxes '
                'here, got clockwise=False'
            )
        layer = {'type': 'RoIAlignRotated', **roi_layer, 'clockwise': True}
        super().__init__(roi_layer=layer, **kwargs)

    def map_roi_levels(self, rois: Tensor, num_levels: int) -> Tensor:
        """Assign boxes to levels by the root of width times height, as ``SingleRoIExtractor``."""
        scale = (rois[:, 3] * rois[:, 4]).clamp(min=0).sqrt()
        levels = torch.floor(torch.log2(scale / self.finest_scale + 1e-6))
        return levels.clamp(0, num_levels - 1).long()

    def roi_rescale(self, rois: Tensor, scale_factor: float) -> Tensor:
        return torch.cat([rois[:, :3], rois[:, 3:5] * scale_factor, rois[:, 5:]], 1)

    def forward(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Pool boxes ``(N, 6)`` (image, cx, cy, w, h, angle) to features ``(N, C, H, W)``."""
        # The operator has no half precision on a CPU, coordinates need float32 everywhere, and it
        # needs contiguous inputs.
        with torch.autocast(rois.device.type, enabled=False):
            feats32 = [f.float().contiguous() for f in feats]
            pooled = super().forward(feats32, rois.float(), roi_scale_factor)
        return pooled.to(feats[0].dtype)
