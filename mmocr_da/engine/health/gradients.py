"""Gradients of objectives that tell the domains apart, in comparison with the task's gradient."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from .held_out import HeldOut

#: Images of each domain in the batch that is looked at.
NUM_IMAGES = 32
#: Modules that compute another thing in training, or draw random numbers.
_STILL = (_NormBase, _DropoutNd)


def gradient_ratios(model: Any, images: HeldOut) -> dict[str, float]:
    """Divide the norm of each adversary's gradient by that of the supervised loss.

    Norms are over the weights of the recognizer that both reach. Weights and gradients of a
    training are not touched. All processes must call it, with the same images.

    Args:
        model: An ``AdaptiveRecognizer`` in evaluation mode, or a detector, which has no ratios
            since its labels are not made for the pipeline of tests.
        images: Both domains; the source with labels.

    Returns:
        Ratios by name of the objective; without those that have no gradient beside the task's.
    """
    judges = [o for o in model.objectives.values() if o.judges_domains]
    if not judges or not hasattr(model, 'decoder') or not (images.source and images.target):
        return {}
    data = model.data_preprocessor(images.first(NUM_IMAGES), False)
    weights = [
        p
        for name, p in model.named_parameters()
        if p.requires_grad and not name.startswith('objectives.')
    ]
    # CuDNN has no backward pass of recurrent layers in evaluation mode.
    with (
        torch.enable_grad(),
        _trains(model.decoder),
        torch.backends.cudnn.flags(enabled=False),
    ):
        losses, features = model.observe(data['inputs'], data['data_samples'])
        of_task = _gradients(losses, weights)
        of_judges = {o.name: _gradients(o(*features), weights) for o in judges}
    ratios = {name: _ratio(found, of_task) for name, found in of_judges.items()}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


@contextmanager
def _trains(decoder: nn.Module) -> Iterator[None]:
    """Let a decoder compute what its loss needs, without random numbers or new statistics."""
    modules = [m for m in decoder.modules() if not isinstance(m, _STILL)]
    modes = [m.training for m in modules]
    for module in modules:
        module.training = True
    try:
        yield
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode


def _gradients(losses: Mapping[str, Any], weights: list[nn.Parameter]) -> list[Tensor | None]:
    found = [value for name, value in losses.items() if 'loss' in name and value.requires_grad]
    if not found:
        return [None] * len(weights)
    total = torch.stack([value.sum() for value in found]).sum()
    return list(torch.autograd.grad(total, weights, retain_graph=True, allow_unused=True))


def _ratio(found: list[Tensor | None], of_task: list[Tensor | None]) -> float | None:
    shared = [(a, b) for a, b in zip(found, of_task) if a is not None and b is not None]
    if not shared:
        return None
    norms = [torch.stack([x.norm() for x in column]).norm() for column in zip(*shared)]
    adversary, task = torch.stack(norms).tolist()
    return adversary / task if task > 0 else None
