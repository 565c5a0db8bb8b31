"""Preprocessing of a whole batch at once."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.utils import is_seq_of
from mmocr.models.textrecog.data_preprocessors import TextRecogDataPreprocessor
from torch import Tensor

from mmocr_da.device import on_device
from mmocr_da.plain import base_cfg
from mmocr_da.registry import MODELS


@MODELS.register_module()
class BatchedTextRecogDataPreprocessor(TextRecogDataPreprocessor):
    """MMOCR's preprocessor with one copy to the device and one normalization per batch.

    MMEngine converts and normalizes image by image. This class stacks the loaded images first and
    does the rest once per batch; the results are bit-identical.
    """

    plain_cfg: Any = classmethod(base_cfg)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        images = data['inputs']
        if not is_seq_of(images, Tensor) or not all(x.dim() == 3 for x in images):
            return super().forward(data, training)
        height, width = (max(x.size(d) for x in images) for d in (-2, -1))
        sizes = [tuple(x.shape[-2:]) for x in images]
        batch = torch.stack(
            [
                F.pad(x, (0, width - w, 0, height - h)) if (h, w) != (height, width) else x
                for x, (h, w) in zip(images, sizes)
            ]
        )
        # For a tensor the parent normalizes once and pads to the divisor.
        batch = on_device(batch, self.device)
        data = super().forward({**data, 'inputs': batch}, training)
        if len(set(sizes)) > 1:
            self._fill_padding(data['inputs'], sizes)
        return data

    def _fill_padding(self, batch: Tensor, sizes: list[tuple[int, int]]) -> None:
        """Write ``pad_value``, which is in normalized units, outside the images."""
        h, w = on_device(torch.tensor(sizes), batch.device)[..., None].unbind(1)
        below = torch.arange(batch.size(-2), device=batch.device) >= h
        right = torch.arange(batch.size(-1), device=batch.device) >= w
        batch.masked_fill_((below[:, None, :, None] | right[:, None, None, :]), self.pad_value)
