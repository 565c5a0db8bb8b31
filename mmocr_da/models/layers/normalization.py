"""Batch normalization, instance normalization and their blend at the cost of one of them.

Per image and channel all three are one multiplication and one addition, and the statistics of a
batch follow from those of its images. So no second tensor of the input's size is made beside the
output, whatever is blended (Nam & Kim, NeurIPS 2018, eq. 1 to 3).
"""
from typing import NamedTuple, Optional, Tuple, Union

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

aten = torch.ops.aten


class Domains(NamedTuple):
    """Which images are normalized together: ``index`` (N,), the domain of each, and its count."""
    index: Tensor
    counts: Tuple[int, ...]


def normalize(x: Tensor,
              rho: Optional[Tensor],
              weight: Optional[Tensor],
              bias: Optional[Tensor],
              mean: Optional[Tensor] = None,
              var: Optional[Tensor] = None,
              eps: float = 1e-5,
              domains: Optional[Domains] = None,
              process_group=None) -> Tuple[Tensor, Tensor, Tensor, Union[None, int, Tensor]]:
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
    """What both norms multiply by, per part of the batch and per image."""
    inv_b: Tensor  # (G, C), one over the standard deviation
    of_batch: Tensor  # (G, C), that times rho * weight
    inv_i: Optional[Tensor]  # (N, C), None where rho is 1
    of_instance: Optional[Tensor]  # (N, C), that times (1 - rho) * weight


def _blend(rho, weight, own_var, var, eps) -> _Blend:
    inv_b = (var + eps).rsqrt()
    if rho is None:
        return _Blend(inv_b, inv_b if weight is None else inv_b * weight, None, None)
    inv_i = (own_var + eps).rsqrt()
    opened = rho if weight is None else rho * weight
    closed = (1 if weight is None else weight) - opened
    return _Blend(inv_b, inv_b * opened, inv_i, inv_i * closed)


def _line(blend: _Blend, bias, apart, mean, domains) -> Tuple[Tensor, Tensor, Tensor]:
    """``y = (x - center) * scale + shift``, ``(N or 1, C)`` each; with rho = 1 as in batch norm."""
    center, scale = _rows(mean, domains), _rows(blend.of_batch, domains)
    shift = torch.zeros_like(mean[:1]) if bias is None else bias[None]
    if blend.of_instance is not None:
        scale = scale + blend.of_instance
        shift = torch.addcmul(shift, apart, blend.of_instance, value=-1)
    return center, scale, shift


class _Normalize(Function):
    """A line per image and channel; so is its gradient: ``dx = a * dy + b * x + c``."""

    @staticmethod
    def forward(ctx, x, rho, weight, bias, mean, var, eps, domains, group):
        planes, saved = _Planes(x), x
        x = planes.laid_out(x)
        blends = rho is not None and planes.size > 1
        ctx.from_batch = mean is None
        own_mean = own_var = apart = count = spare = None
        if blends or ctx.from_batch:
            own_mean, own_var, spare = planes.statistics(x)
        if ctx.from_batch:
            mean, var, apart, count = _batch_statistics(own_mean, own_var, planes.size, domains,
                                                        group)
        else:
            mean, var = (_as(t, planes.dtype) for t in (mean, var))
            apart = own_mean - _rows(mean, domains) if blends else None
        gate, gamma, beta = (_as(t, planes.dtype) for t in (rho if blends else None, weight, bias))
        blend = _blend(gate, gamma, own_var, var, eps)
        line = _line(blend, beta, apart, mean, domains)
        ctx.planes, ctx.count, ctx.eps = planes, count, eps
        ctx.domains, ctx.group = domains, group
        ctx.statistics = own_mean, apart, mean, var, line[1], blend  # small, and without a graph
        ctx.save_for_backward(saved, rho, weight, bias)
        ctx.mark_non_differentiable(mean, var)
        y = planes.affine(x, *line, out=spare, same_bits=not ctx.from_batch)
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
        own_mean, apart, mean, _, scale, blend = ctx.statistics
        planes, domains = ctx.planes, ctx.domains
        x, grad = planes.laid_out(x), planes.laid_out(grad)
        # Of each plane: sum of dy, and of dy * (x - mean) for its own mean and for the batch's.
        total, moment = planes.sums(grad, x, _rows(mean, domains) if apart is None else own_mean)
        moment_b = moment if apart is None else torch.addcmul(moment, apart, total)
        total_g, moment_g = d_bias, d_gate = _sums(total, domains), _sums(moment_b, domains)
        d_gate = d_gamma = blend.inv_b * d_gate
        a, b, c = scale, None, None
        if ctx.from_batch:
            if ctx.group is not None:
                both = torch.stack([total_g, moment_g])
                dist.all_reduce(both, group=ctx.group)
                total_g, moment_g = both
            share = blend.of_batch * (-1 / _at_least_one(ctx.count))
            b = share * blend.inv_b.square() * moment_g
            c = _rows(torch.addcmul(share * total_g, b, mean, value=-1), domains)
            b = _rows(b, domains)
        d_gate, d_gamma, d_bias = (t[0] if domains is None else t.sum(0)
                                   for t in (d_gate, d_gamma, d_bias))
        if blend.inv_i is not None:
            gate = _as(rho, planes.dtype)
            slope = blend.inv_i * moment
            d_instance = slope.sum(0)
            d_gamma = torch.lerp(d_instance, d_gate, gate)
            d_gate = d_gate - d_instance
            share = blend.of_instance * (-1 / planes.size)
            b_i = share * blend.inv_i * slope
            c_i = torch.addcmul(share * total, b_i, own_mean, value=-1)
            b, c = (b_i, c_i) if b is None else (b + b_i, c + c_i)
        needs = ctx.needs_input_grad
        dx = planes.gradient(x, grad, a, b, c) if needs[0] else None
        d_rho = None
        if needs[1]:
            d_rho = torch.zeros_like(rho)
            if blend.inv_i is not None:
                d_rho = _as(d_gate if weight is None else d_gate * weight, rho.dtype)
        d_weight = _as(d_gamma, weight.dtype) if needs[2] else None
        d_bias = _as(d_bias, bias.dtype) if needs[3] else None
        return dx, d_rho, d_weight, d_bias, None, None, None, None, None


def _batch_statistics(own_mean, own_var, size, domains, group):
    """Mean and biased variance of each part ``(G, C)`` from those of images.

    Also how far the means of the images are from it, ``(N, C)``, and the values per channel.
    """
    number = len(own_mean)
    if domains is not None:
        number = own_mean.new_tensor(domains.counts)[:, None]
    # Not E[x^2] - E[x]^2, which cancels.
    mean = _means(own_mean, number, domains)
    apart = own_mean - _rows(mean, domains)
    var = _means(torch.addcmul(own_var, apart, apart), number, domains)
    if group is None:
        return mean, var, apart, number * size
    # Ranks are to one another what images are within a batch.
    local = torch.cat([mean, var, mean.new_zeros(len(mean), 1) + number * size], dim=1)
    ranks = local.new_empty(dist.get_world_size(group), *local.shape)
    dist.all_gather(list(ranks.unbind()), local, group=group)
    channels = own_mean.shape[1]
    means, variances, numbers = ranks.split([channels, channels, 1], dim=-1)
    count = numbers.sum(0)
    safe = _at_least_one(count)
    mean = (numbers * means).sum(0) / safe
    var = (numbers * (variances + (means - mean).square())).sum(0) / safe
    return mean, var, own_mean - _rows(mean, domains), count


def _at_least_one(number):
    return number.clamp(min=1) if isinstance(number, Tensor) else max(number, 1)


def _rows(per_domain: Tensor, domains: Optional[Domains]) -> Tensor:
    """``(G, C)`` to the rows of the batch: ``(N, C)``, or ``(1, C)`` if all are of one part."""
    return per_domain if domains is None else per_domain[domains.index]


def _sums(per_image: Tensor, domains: Optional[Domains]) -> Tensor:
    """``(N, C)`` summed within each part, ``(G, C)``, in an order that does not vary."""
    if domains is None:
        return per_image.sum(0, keepdim=True)
    return torch.stack([(per_image * (domains.index == g)[:, None]).sum(0)
                        for g in range(len(domains.counts))])


def _means(per_image: Tensor, number, domains: Optional[Domains]) -> Tensor:
    if domains is None and number:
        return per_image.mean(0, keepdim=True)
    return _sums(per_image, domains) / _at_least_one(number)  # a domain may be absent


def _as(x: Optional[Tensor], dtype: torch.dtype) -> Optional[Tensor]:
    return x if x is None or x.dtype == dtype else x.to(dtype)


class _Planes:
    """An input as N * C planes of ``size`` values, in torch's own kernels for batch norm.

    Planes that lie in one piece are channels of a batch of one. In channels-last order each image
    is a batch of its own. Any other order is made contiguous.
    """

    def __init__(self, x: Tensor) -> None:
        self.shape = x.shape[:2]
        self.size = x.shape[2:].numel()
        self.dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        self.constants = None
        # One channel lies in either order; torch's batch norm takes it for this one.
        self.last = (x.shape[1] == 1 < x.dim() - 2 or not x.is_contiguous()) and (
            self._as_images(x).is_contiguous(memory_format=torch.channels_last))

    @staticmethod
    def _as_images(x: Tensor) -> Tensor:
        """``(N, C, rows, columns)`` without a copy, or with one that says "not channels-last"."""
        if x.dim() == 2:
            return x[:, :, None, None]
        if x.dim() == 3:
            return x[..., None]
        return x if x.dim() == 4 else x.flatten(2, 3) if x.is_contiguous(
            memory_format=torch.channels_last_3d) else x[..., 0]

    def laid_out(self, x: Tensor) -> Tensor:
        if not self.last:
            return x.contiguous()
        if x.dim() == 3:
            return x.transpose(1, 2).contiguous().transpose(1, 2)
        return x.contiguous(memory_format=torch.channels_last if x.dim() == 4
                            else torch.channels_last_3d)

    def _parts(self, *tensors: Tensor):
        """Batches for torch's kernels: one of all planes, or one per image."""
        if self.last:
            return zip(*(self._as_images(t).split(1) for t in tensors))
        return [tuple(t.view(1, -1, self.size) for t in tensors)]

    def _constants(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """Zeros and ones: the statistics of batches that are not to be normalized."""
        if self.constants is None:
            size = self.shape[1] if self.last else self.shape.numel()
            zeros = torch.zeros(size, dtype=self.dtype, device=x.device)
            self.constants = zeros, torch.ones_like(zeros)
        return self.constants

    def statistics(self, x: Tensor) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
        """Mean and biased variance of each plane, ``(N, C)``; memory like ``x`` that is free."""
        if not x.numel():
            return *x.new_zeros(2, *self.shape, dtype=self.dtype), None
        if not self.last and x.dtype == self.dtype and x.device.type == 'cpu':
            # Several times as fast there as the kernel below, and as exact.
            rows = x.view(-1, self.size)
            mean = rows.mean(-1, keepdim=True)
            spare = torch.empty_like(x)
            apart = torch.sub(rows, mean, out=spare.view(-1, self.size))
            var = torch.linalg.vector_norm(apart, dim=-1).square() / self.size
            return mean.view(self.shape), var.view(self.shape), spare
        # For half precision, running statistics of float32 make the kernels return float32.
        running = (None, None) if x.dtype == self.dtype else self._constants(x)
        found = [aten.batch_norm_update_stats(part, *running, 0.) for part, in self._parts(x)]
        mean, var = (torch.stack(t) if self.last else t[0].view(self.shape) for t in zip(*found))
        return mean, var, None

    def sums(self, grad: Tensor, x: Tensor, center: Tensor) -> Tuple[Tensor, Tensor]:
        """Sum of ``grad`` and of ``grad * (x - center)`` over each plane, ``(N, C)``."""
        if not x.numel():
            return tuple(x.new_zeros(2, *self.shape, dtype=self.dtype))
        one = self._constants(x)[1]
        center = center.expand(self.shape)
        centers = center.contiguous().unbind() if self.last else [center.reshape(-1)]
        found = [aten.native_batch_norm_backward(g, part, one, None, None, c, one, True, 0.,
                                                 [False, True, True])[1:]
                 for (g, part), c in zip(self._parts(grad, x), centers)]
        moment, total = (torch.stack(t) if self.last else t[0].view(self.shape)
                         for t in zip(*found))
        return total, moment

    def affine(self, x, center, scale, shift, out: Optional[Tensor] = None,
               same_bits: bool = False) -> Tensor:
        """``(x - center) * scale + shift``, ``(N or 1, C)`` each, in the dtype and layout of ``x``.

        It is torch's batch norm in evaluation, with a variance of 1: a line per plane. A center
        and a shift of None are 0. In channels-last order that is a call per image, and one for all
        is faster, if the result need not have the ``same_bits``.
        """
        out = torch.empty_like(x) if out is None else out
        if not x.numel():
            return out
        if self.last and not same_bits and (x.dtype == self.dtype or x.is_cuda):
            offset = torch.zeros_like(scale) if shift is None else shift
            if center is not None:
                offset = offset - center * scale
            return torch.addcmul(self._wide(offset, x), x, self._wide(scale, x), out=out)
        zero, one = self._constants(x)
        line = [zero if t is None else t.expand(self.shape) for t in (scale, shift, center)]
        if self.last:
            lines = zip(*(t.expand(self.shape) for t in line))
        else:
            lines = [[t.reshape(-1) for t in line]]
        space = (torch.empty_like(one), torch.empty_like(one)) if x.is_cuda else (one, one)
        for (part, to), (weight, bias, mean) in zip(self._parts(x, out), lines):
            aten.native_batch_norm.out(part, weight, bias, mean, one, False, 0., 0., out=to,
                                       save_mean=space[0], save_invstd=space[1])
        return out

    def gradient(self, x, grad, a, b, c) -> Tensor:
        """``a * grad + b * x + c``."""
        if b is None:
            return self.affine(grad, None, a, None)
        if x.dtype == self.dtype or x.is_cuda:
            return self.affine(x, None, b, c).addcmul_(grad, self._wide(a, x))
        # A CPU would widen the whole input to mix it with float32.
        out, lines = torch.empty_like(x), zip(*(self._wide(t, x) for t in (a, b, c)))
        for i, (a, b, c) in enumerate(lines):
            out[i] = torch.addcmul(c, x[i], b).addcmul_(grad[i], a)
        return out

    def _wide(self, t: Tensor, x: Tensor) -> Tensor:
        return t.expand(self.shape).reshape(*self.shape, *[1] * (x.dim() - 2))


def _plain(x, rho, weight, bias, mean, var, eps, domains, group):
    """The same in differentiable operations: for compilers, exporters, other devices."""
    if group is not None:
        raise RuntimeError('synchronized batch statistics need a CPU or CUDA device, no '
                           'torch.compile, torch.jit.trace or second-order gradients; train '
                           'without sync_bn')
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    rho, weight, bias, mean, var = (_as(t, dtype) for t in (rho, weight, bias, mean, var))
    wide = x.to(dtype).flatten(2) if x.dim() > 2 else x.to(dtype)[..., None]
    if rho is not None and wide.shape[-1] == 1:
        rho = rho * 0 + 1
    own_mean = wide.mean(-1)
    own_var = (wide - own_mean[..., None]).square().mean(-1)
    count = None
    if mean is None:
        mean, var, apart, count = _batch_statistics(own_mean, own_var, wide.shape[-1], domains,
                                                    None)
    else:
        apart = own_mean - _rows(mean, domains)
    line = _line(_blend(rho, weight, own_var, var, eps), bias, apart, mean, domains)
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
    return (*(next(found) if needed else None for needed in ctx.needs_input_grad[:4]),
            None, None, None, None, None)
