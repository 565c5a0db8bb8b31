"""Reading and writing all planes of an input: how it depends on device and memory order.

A plane is one channel of one image. Normalization needs four things of planes: mean and variance,
two sums for the backward pass, and two maps that are linear within a plane. The classes here do
the same by different kernels; :func:`planes_of` chooses, and is the only place that does.
"""

import torch
from torch import Tensor

aten = torch.ops.aten


def planes_of(x: Tensor) -> 'Planes':
    """The planes of ``x``, ``(N, C, *)``, by the kernels for its device and order in memory.

    In channels-last order torch has no kernel for planes on a CPU but its batch norm, image by
    image. On CUDA each such call is a launch, so that a batch of 128 would be 128 launches.
    """
    if not _is_channels_last(x):
        return ContiguousPlanes(x)
    return ReducedPlanes(x) if x.is_cuda else PlanesByImage(x)


def _is_channels_last(x: Tensor) -> bool:
    # One channel lies in either order; torch's batch norm takes it for this one.
    if x.is_contiguous() and not x.shape[1] == 1 < x.dim() - 2:
        return False
    return _as_images(x).is_contiguous(memory_format=torch.channels_last)


def _as_images(x: Tensor) -> Tensor:
    """``(N, C, rows, columns)`` without a copy, or with one that says "not channels-last"."""
    if x.dim() == 2:
        return x[:, :, None, None]
    if x.dim() == 3:
        return x[..., None]
    return (
        x
        if x.dim() == 4
        else x.flatten(2, 3)
        if x.is_contiguous(memory_format=torch.channels_last_3d)
        else x[..., 0]
    )


class Planes:
    """Planes of ``size`` values each, of the ``shape`` ``(N, C)``; statistics have the ``dtype``.

    Numbers per plane are tensors ``(N, C)``, or ``(1, C)`` if those of all images are equal.
    """

    def __init__(self, x: Tensor) -> None:
        self.shape = x.shape[:2]
        self.size = x.shape[2:].numel()
        self.dtype = torch.float64 if x.dtype == torch.float64 else torch.float32

    def laid_out(self, x: Tensor) -> Tensor:
        """``x`` in the order of memory that the other methods need."""
        raise NotImplementedError

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Mean and biased variance of each plane, ``(N, C)``; memory like ``x`` that is free."""
        if not x.numel():
            return *x.new_zeros(2, *self.shape, dtype=self.dtype), None
        return self._statistics(x)

    def sums(self, grad: Tensor, x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of ``grad`` and of ``grad * (x - center)`` over each plane, ``(N, C)``."""
        if not x.numel():
            return tuple(x.new_zeros(2, *self.shape, dtype=self.dtype))
        return self._sums(grad, x, center.expand(self.shape))

    def affine(
        self,
        x: Tensor,
        center: Tensor | None,
        scale: Tensor,
        shift: Tensor | None,
        out: Tensor | None = None,
        same_bits: bool = False,
    ) -> Tensor:
        """``(x - center) * scale + shift``, in the dtype and order of ``x``; None is 0.

        Args:
            out: Memory for the result.
            same_bits: Compute as torch's batch norm does, where there is a choice.
        """
        out = torch.empty_like(x) if out is None else out
        if x.numel():
            self._affine(x, center, scale, shift, out, same_bits)
        return out

    def gradient(
        self, x: Tensor, grad: Tensor, a: Tensor, b: Tensor | None, c: Tensor | None
    ) -> Tensor:
        """``a * grad + b * x + c``; None is 0."""
        if b is None:
            return self.affine(grad, None, a, None)
        if x.dtype == self.dtype or x.is_cuda:
            return self.affine(x, None, b, c).addcmul_(grad, self.wide(a, x))
        # A CPU would widen the whole input to mix it with float32.
        out, numbers = torch.empty_like(x), zip(*(self.wide(t, x) for t in (a, b, c)))
        for i, (a, b, c) in enumerate(numbers):
            out[i] = torch.addcmul(c, x[i], b).addcmul_(grad[i], a)
        return out

    def wide(self, t: Tensor, x: Tensor) -> Tensor:
        """Numbers per plane, to be used beside ``x``."""
        return t.expand(self.shape).reshape(*self.shape, *[1] * (x.dim() - 2))


class _BatchNormPlanes(Planes):
    """By torch's kernels for batch norm, called for batches whose channels are planes.

    Subclasses say which batches: :meth:`_batches` are views of tensors like ``x``,
    :meth:`_channels` the numbers per plane of each batch, and :meth:`_join` makes ``(N, C)`` of
    such numbers.
    """

    def _statistics(self, x: Tensor):
        # With running statistics of float32, half precision has statistics of float32. They are
        # for this alone: a plane with one value has no unbiased variance and makes them NaN.
        running = (
            (None, None)
            if x.dtype == self.dtype
            else x.new_zeros(2, self.num_channels, dtype=self.dtype)
        )
        found = [
            aten.batch_norm_update_stats(batch, *running, 0.0) for (batch,) in self._batches(x)
        ]
        return *map(self._join, zip(*found)), None

    def _sums(self, grad: Tensor, x: Tensor, center: Tensor):
        # They are the gradients of bias and weight in training.
        one = x.new_ones(self.num_channels, dtype=self.dtype)
        found = [
            aten.native_batch_norm_backward(
                g, batch, one, None, None, mean, one, True, 0.0, [False, True, True]
            )[1:]
            for (g, batch), mean in zip(self._batches(grad, x), self._channels(center))
        ]
        moment, total = map(self._join, zip(*found))
        return total, moment

    def _affine(self, x, center, scale, shift, out, same_bits) -> None:
        numbers = (
            self._channels(_or_zero(t, scale).expand(self.shape)) for t in (center, scale, shift)
        )
        _affine_of_channels(self._batches(x, out), zip(*numbers))


def _or_zero(numbers: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if numbers is None else numbers


def _affine_of_channels(batches, numbers) -> None:
    """``(x - center) * scale + shift`` for ``(x, out)`` and ``(C,)`` numbers of each batch.

    It is batch norm in evaluation, with a variance of 1 and an eps of 0.
    """
    one = space = None
    for (x, out), (center, scale, shift) in zip(batches, numbers):
        if one is None:
            one = torch.ones_like(scale)
            space = torch.empty_like(one), torch.empty_like(one)  # CUDA copies statistics there
        aten.native_batch_norm.out(
            x,
            scale,
            shift,
            center,
            one,
            False,
            0.0,
            0.0,
            out=out,
            save_mean=space[0],
            save_invstd=space[1],
        )


class ContiguousPlanes(_BatchNormPlanes):
    """Planes that lie in one piece each: all are channels of a batch of one.

    Any order but channels-last is made contiguous.
    """

    @property
    def num_channels(self) -> int:
        return self.shape.numel()

    def laid_out(self, x: Tensor) -> Tensor:
        return x.contiguous()

    def _batches(self, *tensors: Tensor):
        return [[t.view(1, -1, self.size) for t in tensors]]

    def _channels(self, t: Tensor):
        return [t.reshape(-1)]

    def _join(self, per_batch) -> Tensor:
        return per_batch[0].view(self.shape)

    def _statistics(self, x: Tensor):
        if x.dtype != self.dtype or x.device.type != 'cpu':
            return super()._statistics(x)
        # Several times as fast there as the kernel, and as exact.
        rows = x.view(-1, self.size)
        mean = rows.mean(-1, keepdim=True)
        free = torch.empty_like(x)
        centered = torch.sub(rows, mean, out=free.view(-1, self.size))
        var = torch.linalg.vector_norm(centered, dim=-1).square() / self.size
        return mean.view(self.shape), var.view(self.shape), free


class _ChannelsLast(Planes):
    """An image in one piece, its planes one inside the other."""

    def laid_out(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return x.transpose(1, 2).contiguous().transpose(1, 2)
        return x.contiguous(
            memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        )

    def affine(self, x, center, scale, shift, out=None, same_bits=False) -> Tensor:
        if not x.numel() or any(t is not None and len(t) > 1 for t in (center, scale, shift)):
            return super().affine(x, center, scale, shift, out, same_bits)
        # The same for all images, which then are one batch.
        out = torch.empty_like(x) if out is None else out
        numbers = [_or_zero(t, scale)[0] for t in (center, scale, shift)]
        _affine_of_channels([(_as_images(x), _as_images(out))], [numbers])
        return out

    def _affine_at_once(self, x, center, scale, shift, out) -> None:
        if center is not None:
            shift = _or_zero(shift, scale) - center * scale
        torch.addcmul(self.wide(_or_zero(shift, scale), x), x, self.wide(scale, x), out=out)


class PlanesByImage(_ChannelsLast, _BatchNormPlanes):
    """Channels-last on a CPU: each image is a batch of its own."""

    @property
    def num_channels(self) -> int:
        return self.shape[1]

    def _batches(self, *tensors: Tensor):
        return zip(*(_as_images(t).split(1) for t in tensors))

    def _channels(self, t: Tensor):
        return t.contiguous().unbind()

    def _join(self, per_batch) -> Tensor:
        return torch.stack(per_batch)

    def _affine(self, x, center, scale, shift, out, same_bits) -> None:
        if same_bits or x.dtype != self.dtype:
            super()._affine(x, center, scale, shift, out, same_bits)
        else:
            self._affine_at_once(x, center, scale, shift, out)


class ReducedPlanes(_ChannelsLast):
    """Channels-last on CUDA: reductions of the whole batch, whose number does not depend on it.

    They take half precision in and give float32 in one kernel. The backward pass makes one tensor
    of the input's size in float32 and frees it.
    """

    def _statistics(self, x: Tensor):
        plane = tuple(range(2, x.dim()))
        if x.dtype == self.dtype:
            var, mean = torch.var_mean(x, plane, correction=0)
        else:
            mean = x.mean(plane, dtype=self.dtype)
            var = torch.var(x, plane, correction=0, out=torch.empty_like(mean))
        return mean, var, None

    def _sums(self, grad: Tensor, x: Tensor, center: Tensor):
        plane = tuple(range(2, x.dim()))
        product = torch.sub(x, self.wide(center, x)).mul_(grad)
        return grad.sum(plane, dtype=self.dtype), product.sum(plane)

    def _affine(self, x, center, scale, shift, out, same_bits) -> None:
        self._affine_at_once(x, center, scale, shift, out)
