"""Replaces the greedy decoding of MMOCR's decoders by one that computes no step twice."""

from mmocr.models.textrecog.decoders.base import BaseDecoder
from torch import nn

from .adapters import StepAdapter, adapter_of


def decode_fast(model: nn.Module) -> list[str]:
    """Let all autoregressive decoders of a model keep what earlier steps have computed.

    ``forward_test`` of a decoder then returns the tokens of MMOCR's own loop, and its probabilities
    up to rounding, without the steps after the end of the batch's longest text. Weights, training
    and checkpoints stay as they are. Decoders that the package does not know, or whose class
    changes what MMOCR's computes, keep their own loop; so does beam search.

    Args:
        model: Any model, changed in place, such as the ``model`` of MMOCR's ``TextRecInferencer``.

    Returns:
        Names of the decoders that are faster now.
    """
    found = []
    for module in model.modules():
        if not isinstance(module, BaseDecoder):
            continue
        adapter = adapter_of(module)
        if isinstance(adapter, StepAdapter) and adapter.can_step():
            setattr(module, 'forward_test', adapter.probabilities)
            found.append(adapter.name)
    return found
