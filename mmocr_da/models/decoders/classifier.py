"""Applies or replaces the final classifier of a decoder."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def classify(features: Tensor, classifier: nn.Module, detach: bool = False) -> Tensor:
    """Apply a final classifier, ``(M, H) -> (M, K)``, in float32 at least.

    Args:
        features: Inputs of the classifier.
        classifier: A linear layer, or a convolution of size 1.
        detach: Whether to treat the weights as constants, without a gradient.
    """
    if features.dtype != torch.float64:
        features = features.float()
    weight: Tensor = getattr(classifier, 'weight').flatten(1)
    bias: Tensor | None = getattr(classifier, 'bias')
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    if detach:
        weight, bias = weight.detach(), bias.detach()
    # Half precision would lose the differences of nearly equal logits.
    with torch.autocast(features.device.type, enabled=False):
        return F.linear(features, weight.to(features), bias.to(features))


def without_class(logits: Tensor, index: int | None) -> Tensor:
    """Drop the logits of a class, ``(M, K) -> (M, K - 1)``; None drops nothing."""
    if index is None:
        return logits
    return torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)


@contextmanager
def module_replaced(model: nn.Module, path: str, replacement: nn.Module) -> Iterator[None]:
    """Replace the submodule at a dotted path within the block."""
    parent_path, _, name = path.rpartition('.')
    parent = model.get_submodule(parent_path)
    original = getattr(parent, name)
    setattr(parent, name, replacement)
    try:
        yield
    finally:
        setattr(parent, name, original)
