"""Converts the output of an encoder to a feature map."""

from typing import Any

from torch import Tensor, nn

from .bilstm_encoder import BiLSTMEncoder


def as_feature_map(encoded: Any, feature_map: Tensor, encoder: nn.Module | None) -> Tensor | None:
    """Convert the output of an encoder to a map ``(N, F, H', W')``; None if that is impossible.

    A sequence with a step per column becomes a map of height 1. A sequence with a step per position
    is put back into rows and columns, so that padding stays on the right.

    Args:
        encoded: ``(N, F, H', W')``, or a sequence ``(N, W, F)`` or ``(N, H * W, F)``.
        feature_map: The input of the encoder, ``(N, C, H, W)``.
        encoder: Its type determines the order of its sequences.
    """
    if not isinstance(encoded, Tensor) or encoded.dim() not in (3, 4):
        return None
    if encoded.dim() == 4:
        return encoded
    height, width = feature_map.shape[-2:]
    channels_first = encoded.transpose(1, 2)
    if encoded.size(1) == width:
        return channels_first.unsqueeze(2)
    if encoded.size(1) != height * width:
        return None
    if isinstance(encoder, BiLSTMEncoder):  # column by column; MMOCR's go row by row
        return channels_first.unflatten(2, (width, height)).transpose(2, 3)
    return channels_first.unflatten(2, (height, width))
