"""Batch normalization, instance normalization and their blend at the cost of one of them.

The formulas, for numbers per plane, are in :mod:`.normalization_formulas`; :mod:`.planes` reads and
writes the values of planes. Only ``x``, ``y`` and their gradients have the size of the input, and
only they are in half precision.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from .normalization_formulas import (
    GradientSums,
    affine_map,
    batch_statistics,
    batch_terms,
    gradient_sums,
    instance_terms,
    parameter_gradients,
    scales_of,
    sum_of_terms,
)
from .planes import planes_of
from .row_groups import WholeBatch

#: ``y``, the mean and variance that batch norm used, and their number of values per channel.
Normalized = tuple[Tensor, Tensor, Tensor, None | int | Tensor]


def normalize(
    x: Tensor,
    rho: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None = None,
    var: Tensor | None = None,
    eps: float = 1e-5,
    groups: WholeBatch | None = None,
    process_group: dist.ProcessGroup | None = None,
) -> Normalized:
    """Return ``(rho * BN(x) + (1 - rho) * IN(x)) * weight + bias`` and the batch statistics.

    The result for an image with a single value per channel is ``BN(x)``, because ``IN(x)`` is not
    defined. Statistics are float32 for half-precision images.

    Args:
        x: ``(N, C, *)``.
        rho: ``(C,)`` in [0, 1]; None is 1.
        mean, var: Statistics for BN, ``(G, C)``, as in evaluation; None computes them on the batch.
        groups: Splits the batch into G groups, each with its own statistics for BN; None is one.
        process_group: Processes that normalize their batches as one.

    Returns:
        ``y`` like ``x``; mean and biased variance that BN used, ``(G, C)``, without gradients; and
        their number of values per channel (a number or ``(G, 1)``; None if they were given).

    Raises:
        RuntimeError: If there is a ``process_group`` and only the differentiable operations can be
            used, as on other devices and in compilers.
    """
    args = (x, rho, weight, bias, mean, var, eps, groups or WholeBatch(), process_group)
    fused = x.device.type in ('cpu', 'cuda') and x.is_floating_point()
    if not fused or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return _normalize_by_autograd(*args)
    if not torch.is_autocast_enabled(x.device.type):
        return _Normalize.apply(*args)
    with torch.autocast(x.device.type, enabled=False):
        return _Normalize.apply(*args)


class _Normalize(Function):
    """Forward and backward pass by the formulas."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        rho: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        eps: float,
        groups: WholeBatch,
        process_group: dist.ProcessGroup | None,
    ) -> Normalized:
        planes, saved = planes_of(x), x
        x = planes.arrange(x)
        blends = rho is not None and planes.size > 1
        from_batch = mean is None
        instance_mean = instance_var = mean_offset = group_size = scratch = None
        if blends or from_batch:
            instance_mean, instance_var, scratch = planes.statistics(x)
        if mean is None or var is None:
            assert instance_mean is not None and instance_var is not None
            mean, var, mean_offset, group_size = batch_statistics(
                instance_mean, instance_var, planes.size, groups, process_group
            )
        else:
            mean, var = mean.to(planes.dtype), var.to(planes.dtype)
            if instance_mean is not None:
                mean_offset = instance_mean - groups.expand(mean)
        wide_rho, wide_weight, wide_bias = (
            _cast(t, planes.dtype) for t in (rho if blends else None, weight, bias)
        )
        ctx.batch, ctx.instance = scales_of(wide_rho, wide_weight, instance_var, var, eps)
        to_y = affine_map(ctx.batch, ctx.instance, wide_bias, mean, mean_offset, groups)
        ctx.planes, ctx.groups, ctx.process_group = planes, groups, process_group
        ctx.from_batch, ctx.group_size, ctx.eps = from_batch, group_size, eps
        # Without save_for_backward: they are small and have no graph.
        ctx.instance_mean, ctx.mean_offset = instance_mean, mean_offset
        ctx.mean, ctx.var, ctx.scale = mean, var, to_y.scale
        ctx.save_for_backward(saved, rho, weight, bias)
        ctx.mark_non_differentiable(mean, var)
        y = planes.affine(x, *to_y, out=scratch, same_bits=not from_batch)
        return y, mean, var, group_size

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted
            return _differentiable_gradients(ctx, grad)
        if not torch.is_autocast_enabled(grad.device.type):
            return _Normalize._backward(ctx, grad)
        with torch.autocast(grad.device.type, enabled=False):
            return _Normalize._backward(ctx, grad)

    @staticmethod
    def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, rho, weight, bias = ctx.saved_tensors
        planes, groups = ctx.planes, ctx.groups
        x, grad = planes.arrange(x), planes.arrange(grad)
        # (5a) and (5b); where planes have no statistics, (5a) and (5c).
        center = groups.expand(ctx.mean) if ctx.mean_offset is None else ctx.instance_mean
        grad_sum, moment = planes.sums(grad, x, center)
        sums = gradient_sums(grad_sum, moment, ctx.mean_offset, groups)
        gradients = parameter_gradients(
            sums, ctx.batch, ctx.instance, _cast(rho, planes.dtype), weight, groups
        )
        needs_x, *needs = ctx.needs_input_grad[:4]
        return (
            _Normalize._input_gradient(ctx, grad, x, sums) if needs_x else None,
            *(
                (torch.zeros_like(t) if d is None else _cast(d, t.dtype)) if needed else None
                for t, d, needed in zip((rho, weight, bias), gradients, needs)
            ),
            *[None] * 5,
        )

    @staticmethod
    def _input_gradient(ctx: Any, grad: Tensor, x: Tensor, sums: GradientSums) -> Tensor:
        """Eq. 9."""
        of_batch = of_instance = None
        if ctx.from_batch:
            of_batch = batch_terms(
                sums, ctx.batch, ctx.mean, ctx.group_size, ctx.groups, ctx.process_group
            )
        if ctx.instance is not None:
            of_instance = instance_terms(sums, ctx.instance, ctx.instance_mean, ctx.planes.size)
        return ctx.planes.combine(grad, x, ctx.scale, *sum_of_terms(of_batch, of_instance))


def _normalize_by_autograd(
    x: Tensor,
    rho: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
    groups: WholeBatch,
    process_group: dist.ProcessGroup | None,
) -> Normalized:
    """Normalize by differentiable operations, for compilers, exporters and other devices."""
    if process_group is not None:
        raise RuntimeError(
            'synchronized batch statistics need a CPU or CUDA device, no '
            'torch.compile, torch.jit.trace or second-order gradients; train '
            'without sync_bn'
        )
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    rho, weight, bias, mean, var = (_cast(t, dtype) for t in (rho, weight, bias, mean, var))
    planes = x.to(dtype).flatten(2) if x.dim() > 2 else x.to(dtype)[..., None]
    if rho is not None and planes.shape[-1] == 1:
        rho = rho * 0 + 1
    instance_mean = planes.mean(-1)
    instance_var = (planes - instance_mean[..., None]).square().mean(-1)
    group_size = None
    if mean is None or var is None:
        mean, var, mean_offset, group_size = batch_statistics(
            instance_mean, instance_var, planes.shape[-1], groups, None
        )
    else:
        mean_offset = instance_mean - groups.expand(mean)
    batch, instance = scales_of(rho, weight, instance_var, var, eps)
    to_y = affine_map(batch, instance, bias, mean, mean_offset, groups)
    center, scale, shift = (t[..., None] for t in to_y)
    y = (planes - center) * scale + shift
    return y.reshape(x.shape).to(x.dtype), mean.detach(), var.detach(), group_size


def _differentiable_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    # Aliases, because a weight may be computed from x, and autograd handles that path itself.
    x, *parameters = ctx.saved_tensors
    x, (rho, weight, bias) = x.view_as(x), (t if t is None else t.view_as(t) for t in parameters)
    mean, var = (None, None) if ctx.from_batch else (ctx.mean, ctx.var)
    y = _normalize_by_autograd(
        x, rho, weight, bias, mean, var, ctx.eps, ctx.groups, ctx.process_group
    )[0]
    needs = ctx.needs_input_grad[:4]
    inputs: list[Any] = [t for t, needed in zip((x, rho, weight, bias), needs) if needed]
    gradients = iter(torch.autograd.grad(y, inputs, grad, create_graph=True))
    return *(next(gradients) if needed else None for needed in needs), *[None] * 5


def _cast(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return x if x is None or x.dtype == dtype else x.to(dtype)
