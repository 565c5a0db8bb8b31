"""Estimates the running statistics of batch norms on given images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..freezing import evaluating
from .domain_norm import DomainNorm


class Moments:
    """Sums over all values of each channel that a layer has seen, of all processes.

    Args:
        layer: A norm layer with running statistics.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.batches = 0
        # count, sum and sum of squares, of differences from the mean of the first batch
        self.sums = torch.zeros(())
        self.center = torch.zeros(())

    def see(self, x: Tensor) -> None:
        """Add the values ``(N, C, ...)``, and let the layer normalize by their statistics."""
        values = x.detach().double().flatten(2) if x.dim() > 2 else x.detach().double()[..., None]
        count = values.new_full((1, values.size(1)), values.size(0) * values.size(2))
        if not self.batches:
            # Near the mean, squares are small numbers: their sum loses no digit.
            first = torch.cat([count, values.sum((0, 2))[None]])
            all_reduce(first)
            self.center = first[1] / first[0]
            self.sums = torch.zeros_like(first[[0, 0, 0]])
        values = values - self.center[:, None]
        sums = torch.cat([count, values.sum((0, 2))[None], values.square().sum((0, 2))[None]])
        all_reduce(sums)
        self.batches += 1
        self.sums += sums
        self._set(sums, biased=True)

    def finish(self) -> None:
        """Give the layer the statistics of all values."""
        self._set(self.sums, biased=False)
        self.layer.num_batches_tracked.fill_(self.batches)

    def _set(self, sums: Tensor, biased: bool) -> None:
        count, total, squares = sums
        mean = total / count
        var = (squares - total * mean) / (count if biased else (count - 1).clamp(min=1))
        self.layer.running_mean.copy_(mean + self.center)
        self.layer.running_var.copy_(var.clamp(min=0))


class Change:
    """How far the statistics of a layer moved, as means over its channels.

    Attributes:
        mean: Distance of the means, in units of the old standard deviation.
        deviation: Factor between the new and the old standard deviation, the larger over the
            smaller, 1 if they are equal.
    """

    def __init__(self, layer: Any, old_mean: Tensor, old_var: Tensor) -> None:
        old, new = ((var + layer.eps).sqrt() for var in (old_var, layer.running_var))
        self.mean = ((layer.running_mean - old_mean).abs() / old).mean().item()
        self.deviation = (new / old).log().abs().mean().exp().item()


def norms_of(model: nn.Module, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return the batch norms of a model that have running statistics, by name.

    Args:
        without: Names of children that are left out.
    """
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, (_BatchNorm, DomainNorm))
        and layer.running_mean is not None
        and name.split('.')[0] not in without
    }


@torch.no_grad()
def estimate_statistics(
    model: nn.Module, run: Callable[[Any], Any], batches: Iterable[Any]
) -> dict[str, Change]:
    """Set the statistics of batch norms to the mean and variance of what they see (AdaBN).

    Li et al., "Revisiting batch normalization for practical domain adaptation", 2016, algorithm 1.
    The model is in evaluation mode, so that nothing is random. Each batch norm normalizes a batch
    by the statistics of this batch, as in training, and gets those of all batches in the end: the
    mean, and the unbiased variance. All processes together count as one: with ``R`` processes and
    batches of ``B / R`` images the result is that of one process with batches of ``B``.

    Frozen layers and :class:`~mmocr_da.models.layers.DomainNorm`, of which the statistics of the
    target change, are like all others. Layers that see no value keep their statistics.

    Args:
        model: Its batch norms change; its mode does not.
        run: Called with each batch; it runs the model, or a part of it.
        batches: All processes need the same number, and each batch must pass the layers in the same
            order.

    Returns:
        The change of each layer that has seen a value, by its name in the model.
    """
    layers = norms_of(model)
    old = {name: (x.running_mean.clone(), x.running_var.clone()) for name, x in layers.items()}
    with evaluating(model), _watched(layers) as moments:
        for batch in batches:
            run(batch)
    seen = {name: found for name, found in moments.items() if found.batches}
    for found in seen.values():
        found.finish()
    return {name: Change(layers[name], *old[name]) for name in seen}


@contextmanager
def _watched(layers: dict[str, Any]) -> Iterator[dict[str, Moments]]:
    moments = {name: Moments(layer) for name, layer in layers.items()}
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: moments[name].see(inputs[0]))
        for name, layer in layers.items()
    ]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()
