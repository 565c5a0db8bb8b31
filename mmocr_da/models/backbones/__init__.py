"""Backbones: images in, feature map out."""

from .text_resnet import TextResNet

__all__ = ['TextResNet']
