"""Instance mappings of SeqCLR (Aberdam et al., CVPR 2021, section 4 and Fig. 5).

A mapping says which frames of an image become one instance of the contrastive loss. Frames after
``lengths`` are padding and belong to no instance.
"""

import torch
from torch import Tensor, nn

from mmocr_da.arguments import check_count
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS


@MODELS.register_module()
class WindowToInstance(nn.Module):
    """Every image becomes ``num_windows`` instances, means of windows that cover it evenly.

    The windows are the same as in ``nn.AdaptiveAvgPool1d`` over the frames of the image without its
    padding; neighbours share a frame if the frames do not divide evenly. An image with fewer frames
    than windows has one window per frame, since equal windows would be each other's negatives.

    Shape: frames ``(N, T, F)``, lengths ``(N,)`` -> instances ``(N, num_windows, F)``, and which of
    them exist, ``(N, num_windows)`` bool, on the device of the lengths (the CPU, so that the host
    need not wait for a GPU).

    >>> frames = torch.tensor([[1., 2., 3., 4.], [1., 3., 0., 0.]])[..., None]
    >>> instances, exists = WindowToInstance(2)(frames, torch.tensor([4, 2]))
    >>> instances[..., 0]
    tensor([[1.5000, 3.5000],
            [1.0000, 3.0000]])
    """

    def __init__(self, num_windows: int = 5) -> None:
        super().__init__()
        check_count('num_windows', num_windows)
        self.num_windows = num_windows

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        length = lengths[:, None, None]
        count = length.clamp(max=self.num_windows)
        window = torch.arange(self.num_windows, device=lengths.device)[:, None]
        start = window * length // count
        end = -(-(window + 1) * length // count)
        frame = torch.arange(frames.size(1), device=lengths.device)
        inside = (frame >= start) & (frame < end) & (window < count)  # (N, num_windows, T)
        weights = (inside / inside.sum(-1, keepdim=True).clamp(min=1)).to(frames.dtype)
        # Padding may be infinite, and 0 times infinity is NaN.
        padding = (frame >= length[:, 0])[..., None]
        weights, padding = (on_device(x, frames.device) for x in (weights, padding))
        return weights @ frames.masked_fill(padding, 0), inside.any(-1)


@MODELS.register_module()
class AllToInstance(WindowToInstance):
    """Every image becomes one instance, the mean of its frames.

    Shape: ``(N, T, F)``, ``(N,)`` -> ``(N, 1, F)``, ``(N, 1)`` bool.
    """

    def __init__(self) -> None:
        super().__init__(1)


@MODELS.register_module()
class FrameToInstance(nn.Module):
    """Every frame is an instance.

    Shape: ``(N, T, F)``, ``(N,)`` -> ``(N, T, F)``, ``(N, T)`` bool.
    """

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frame = torch.arange(frames.size(1), device=lengths.device)
        return frames, frame < lengths[:, None]
