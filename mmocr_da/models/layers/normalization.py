"""Batch normalization, instance normalization and their blend at the cost of one of them.

Nam & Kim, NeurIPS 2018, eq. 1 to 3, of channel ``c`` of image ``n`` in part ``g`` of the batch (the
whole batch, or one domain):

    y = (rho (x - M) R + (1 - rho) (x - m) r) gamma + beta
    m, v = mean and biased variance of the plane, one channel of one image, of S values
    M, V = those of all planes of the channel in the part, of K values
    r, R = 1 / sqrt(v + eps), 1 / sqrt(V + eps)

So ``x`` is read once for its statistics, since those of the part follow from those of its planes,

    M = mean_n(m),   V = mean_n(v + (m - M)^2),

and once for the output, which is linear within a plane:

    y = (x - M) scale + shift
    scale = A + B,   shift = beta - (m - M) B
    A = rho gamma R,   B = (1 - rho) gamma r.

The gradient needs two sums over each plane, ``T = sum(dy)`` and ``P = sum(dy (x - m))``. Then
``Q = P + (m - M) T`` is ``sum(dy (x - M))``, and with ``T_g, Q_g``, the sums of ``T`` and ``Q``
over the images of the part,

    dx = a dy + b x + c
    a = A + B
    b = -A R^2 Q_g / K                    - B r^2 P / S
    c = -A T_g / K + A R^2 Q_g M / K      - B T / S + B r^2 P m / S
    dbeta  = sum_n(T)
    dgamma = rho sum_g(R Q_g) + (1 - rho) sum_n(r P)
    drho   = gamma (sum_g(R Q_g) - sum_n(r P)).

With given statistics (evaluation) ``M`` and ``V`` do not depend on ``x``, and the terms with ``K``
are not there. Everything per plane is float32, or float64 for float64; only ``x`` and ``y`` have
the size of the input, and only they are in half precision. How planes are read and written is
:mod:`.planes`.
"""

from functools import cached_property
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from .planes import planes_of


class Domains:
    """Which images are normalized together.

    Args:
        index: The domain of each image, ``(N,)``.
        counts: The number of images of each domain.
    """

    def __init__(self, index: Tensor, counts: tuple[int, ...]) -> None:
        self.index = index
        self.counts = counts

    @cached_property
    def members(self) -> Tensor:
        """1 where an image is of a domain, ``(G, N, 1)`` float32; made once for all layers."""
        domains = torch.arange(len(self.counts), device=self.index.device)
        return (self.index == domains[:, None]).float()[..., None]

    @cached_property
    def numbers(self) -> Tensor:
        """:attr:`counts` beside :attr:`index`, ``(G, 1)`` float32."""
        return self.members.sum(1)


def normalize(
    x: Tensor,
    rho: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None = None,
    var: Tensor | None = None,
    eps: float = 1e-5,
    domains: Domains | None = None,
    process_group=None,
) -> tuple[Tensor, Tensor, Tensor, None | int | Tensor]:
    """Return ``(rho * BN(x) + (1 - rho) * IN(x)) * weight + bias`` and the batch statistics.

    An image with a single value per channel has no statistics of its own; there the result is
    ``BN(x)``. Statistics are float32 for half-precision images.

    Args:
        x: ``(N, C, *)``.
        rho: ``(C,)`` in [0, 1]; None is 1.
        mean, var: Statistics for BN, ``(G, C)``, as in evaluation; without them those of the batch.
        domains: Splits the batch into G parts, each with statistics of its own; None is one part.
        process_group: Processes whose batches count as one.

    Returns:
        ``y`` like ``x``; mean and biased variance that BN used, ``(G, C)``, without gradients; and
        how many values per channel they are of (a number or ``(G, 1)``; None if they were given).
    """
    args = (x, rho, weight, bias, mean, var, eps, domains, process_group)
    native = x.device.type in ('cpu', 'cuda') and x.is_floating_point()
    if not native or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return _plain(*args)
    if not torch.is_autocast_enabled(x.device.type):
        return _Normalize.apply(*args)
    with torch.autocast(x.device.type, enabled=False):
        return _Normalize.apply(*args)


class _Blend(NamedTuple):
    """What both norms multiply by."""

    inv_batch: Tensor  # R, (G, C)
    batch_scale: Tensor  # A, (G, C)
    inv_instance: Tensor | None  # r, (N, C), None where rho is 1
    instance_scale: Tensor | None  # B, (N, C), None where rho is 1


def _blend(rho, weight, instance_var, var, eps) -> _Blend:
    inv_batch = (var + eps).rsqrt()
    if rho is None:
        return _Blend(inv_batch, inv_batch if weight is None else inv_batch * weight, None, None)
    inv_instance = (instance_var + eps).rsqrt()
    opened = rho if weight is None else rho * weight
    closed = (1 if weight is None else weight) - opened
    return _Blend(inv_batch, inv_batch * opened, inv_instance, inv_instance * closed)


def _line(blend: _Blend, bias, offset, mean, domains) -> tuple[Tensor, Tensor, Tensor]:
    """``M, scale, shift``, ``(N or 1, C)`` each; with rho = 1 as in batch norm."""
    center, scale = _rows(mean, domains), _rows(blend.batch_scale, domains)
    shift = torch.zeros_like(mean[:1]) if bias is None else bias[None]
    if blend.instance_scale is not None:
        scale = scale + blend.instance_scale
        shift = torch.addcmul(shift, offset, blend.instance_scale, value=-1)
    return center, scale, shift


class _Normalize(Function):
    """The equations above. ``offset`` is ``m - M``, a name without ``instance_`` is the batch's."""

    @staticmethod
    def forward(ctx, x, rho, weight, bias, mean, var, eps, domains, group):
        planes, saved = planes_of(x), x
        x = planes.laid_out(x)
        blends = rho is not None and planes.size > 1
        ctx.from_batch = mean is None
        instance_mean = instance_var = offset = count = free = None
        if blends or ctx.from_batch:
            instance_mean, instance_var, free = planes.statistics(x)
        if ctx.from_batch:
            mean, var, offset, count = _batch_statistics(
                instance_mean, instance_var, planes.size, domains, group
            )
        else:
            mean, var = (_as(t, planes.dtype) for t in (mean, var))
            offset = instance_mean - _rows(mean, domains) if blends else None
        gate, gamma, beta = (_as(t, planes.dtype) for t in (rho if blends else None, weight, bias))
        blend = _blend(gate, gamma, instance_var, var, eps)
        line = _line(blend, beta, offset, mean, domains)
        ctx.planes, ctx.count, ctx.eps = planes, count, eps
        ctx.domains, ctx.group = domains, group
        # Small, and without a graph.
        ctx.statistics = instance_mean, offset, mean, var, line[1], blend
        ctx.save_for_backward(saved, rho, weight, bias)
        ctx.mark_non_differentiable(mean, var)
        y = planes.affine(x, *line, out=free, same_bits=not ctx.from_batch)
        return y, mean, var, count

    @staticmethod
    def backward(ctx, grad, *_):
        if torch.is_grad_enabled():  # a gradient of this gradient is asked for
            return _gradients_of_plain(ctx, grad)
        if not torch.is_autocast_enabled(grad.device.type):
            return _Normalize._backward(ctx, grad)
        with torch.autocast(grad.device.type, enabled=False):
            return _Normalize._backward(ctx, grad)

    @staticmethod
    def _backward(ctx, grad):
        x, rho, weight, bias = ctx.saved_tensors
        instance_mean, offset, mean, _, a, blend = ctx.statistics
        planes, domains = ctx.planes, ctx.domains
        x, grad = planes.laid_out(x), planes.laid_out(grad)
        if offset is None:  # neither norm needs statistics of planes
            total, batch_moment = planes.sums(grad, x, _rows(mean, domains))  # T, Q
        else:
            total, moment = planes.sums(grad, x, instance_mean)  # T, P
            batch_moment = torch.addcmul(moment, offset, total)
        part_total, part_moment = _sums(total, domains), _sums(batch_moment, domains)  # T_g, Q_g
        d_beta = _of_parts(part_total, domains)
        d_gamma = d_gate = _of_parts(blend.inv_batch * part_moment, domains)
        b = c = None
        if ctx.from_batch:
            b, c = _batch_slope(ctx, part_total, part_moment)
        if blend.inv_instance is not None:
            slope = blend.inv_instance * moment
            d_instance = slope.sum(0)
            d_gamma = torch.lerp(d_instance, d_gate, _as(rho, planes.dtype))
            d_gate = d_gate - d_instance
            share = blend.instance_scale * (-1 / planes.size)
            b_instance = share * blend.inv_instance * slope
            c_instance = torch.addcmul(share * total, b_instance, instance_mean, value=-1)
            b, c = (b_instance, c_instance) if b is None else (b + b_instance, c + c_instance)
        needs = ctx.needs_input_grad
        dx = planes.gradient(x, grad, a, b, c) if needs[0] else None
        d_rho = None
        if needs[1]:
            d_rho = torch.zeros_like(rho)
            if blend.inv_instance is not None:
                d_rho = _as(d_gate if weight is None else d_gate * weight, rho.dtype)
        d_weight = _as(d_gamma, weight.dtype) if needs[2] else None
        d_bias = _as(d_beta, bias.dtype) if needs[3] else None
        return dx, d_rho, d_weight, d_bias, None, None, None, None, None


def _batch_slope(ctx, total, moment) -> tuple[Tensor, Tensor]:
    """The terms of ``b`` and ``c`` with ``K``, ``(N or 1, C)`` each."""
    _, _, mean, _, _, blend = ctx.statistics
    if ctx.group is not None:
        both = torch.stack([total, moment])
        dist.all_reduce(both, group=ctx.group)
        total, moment = both
    share = blend.batch_scale * (-1 / _at_least_one(ctx.count))
    b = share * blend.inv_batch.square() * moment
    c = torch.addcmul(share * total, b, mean, value=-1)
    return _rows(b, ctx.domains), _rows(c, ctx.domains)


def _batch_statistics(instance_mean, instance_var, size, domains, group):
    """``M``, ``V`` ``(G, C)``, ``m - M`` ``(N, C)`` and ``K``, from statistics of planes."""
    number = len(instance_mean) if domains is None else domains.numbers
    # Not E[x^2] - E[x]^2, which cancels.
    mean = _means(instance_mean, number, domains)
    offset = instance_mean - _rows(mean, domains)
    var = _means(torch.addcmul(instance_var, offset, offset), number, domains)
    if group is None:
        return mean, var, offset, number * size
    # Ranks are to one another what images are within a batch.
    local = torch.cat([mean, var, mean.new_zeros(len(mean), 1) + number * size], dim=1)
    ranks = local.new_empty(dist.get_world_size(group), *local.shape)
    dist.all_gather(list(ranks.unbind()), local, group=group)
    channels = instance_mean.shape[1]
    means, variances, numbers = ranks.split([channels, channels, 1], dim=-1)
    count = numbers.sum(0)
    safe = _at_least_one(count)
    mean = (numbers * means).sum(0) / safe
    var = (numbers * (variances + (means - mean).square())).sum(0) / safe
    return mean, var, instance_mean - _rows(mean, domains), count


def _at_least_one(number):
    return number.clamp(min=1) if isinstance(number, Tensor) else max(number, 1)


def _rows(per_domain: Tensor, domains: Domains | None) -> Tensor:
    """``(G, C)`` to the rows of the batch: ``(N, C)``, or ``(1, C)`` if all are of one part."""
    return per_domain if domains is None else per_domain[domains.index]


def _sums(per_image: Tensor, domains: Domains | None) -> Tensor:
    """``(N, C)`` summed within each part, ``(G, C)``, in an order that does not vary."""
    if domains is None:
        return per_image.sum(0, keepdim=True)
    return (domains.members * per_image).sum(1)


def _means(per_image: Tensor, number, domains: Domains | None) -> Tensor:
    if domains is None and number:
        return per_image.mean(0, keepdim=True)
    return _sums(per_image, domains) / _at_least_one(number)  # a domain may be absent


def _of_parts(per_part: Tensor, domains: Domains | None) -> Tensor:
    """``(G, C)`` summed over the parts, ``(C,)``."""
    return per_part[0] if domains is None else per_part.sum(0)


def _as(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return x if x is None or x.dtype == dtype else x.to(dtype)


def _plain(x, rho, weight, bias, mean, var, eps, domains, group):
    """The same in differentiable operations: for compilers, exporters, other devices."""
    if group is not None:
        raise RuntimeError(
            'synchronized batch statistics need a CPU or CUDA device, no '
            'torch.compile, torch.jit.trace or second-order gradients; train '
            'without sync_bn'
        )
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    rho, weight, bias, mean, var = (_as(t, dtype) for t in (rho, weight, bias, mean, var))
    wide = x.to(dtype).flatten(2) if x.dim() > 2 else x.to(dtype)[..., None]
    if rho is not None and wide.shape[-1] == 1:
        rho = rho * 0 + 1
    instance_mean = wide.mean(-1)
    instance_var = (wide - instance_mean[..., None]).square().mean(-1)
    count = None
    if mean is None:
        mean, var, offset, count = _batch_statistics(
            instance_mean, instance_var, wide.shape[-1], domains, None
        )
    else:
        offset = instance_mean - _rows(mean, domains)
    line = _line(_blend(rho, weight, instance_var, var, eps), bias, offset, mean, domains)
    center, scale, shift = (t[..., None] for t in line)
    y = (wide - center) * scale + shift
    return y.reshape(x.shape).to(x.dtype), mean.detach(), var.detach(), count


def _gradients_of_plain(ctx, grad):
    # Aliases: a weight may itself be computed from x, and that path is autograd's.
    x, rho, weight, bias = (None if t is None else t.view_as(t) for t in ctx.saved_tensors)
    _, _, mean, var, *_ = ctx.statistics
    if ctx.from_batch:
        mean = var = None
    y = _plain(x, rho, weight, bias, mean, var, ctx.eps, ctx.domains, ctx.group)[0]
    inputs = [t for t, needed in zip((x, rho, weight, bias), ctx.needs_input_grad) if needed]
    found = iter(torch.autograd.grad(y, inputs, grad, create_graph=True))
    return (
        *(next(found) if needed else None for needed in ctx.needs_input_grad[:4]),
        None,
        None,
        None,
        None,
        None,
    )
