"""Backbones: images ``(N, C, H, W)`` in, feature map ``(N, C', H', W')`` out."""

from .text_resnet import TextResNet

__all__ = ['TextResNet']
