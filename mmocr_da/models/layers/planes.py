"""Reads and writes all planes of an input, by kernels for its device and memory order.

A plane is one channel of one image. Normalization needs four operations on planes: mean and
variance, two sums for the backward pass, and two maps that are linear within a plane. The classes
here implement them by different kernels; only :func:`planes_of` chooses between the classes.

Most of the kernels are torch's kernels of batch norm, used for other purposes. Only these kernels
read half precision and return float32 without a copy of the input:

* ``batch_norm_update_stats`` gives the mean and the variance of each channel;
* ``native_batch_norm_backward`` in training, with ``mean`` and an inverse deviation of 1, has
  ``sum(grad (x - mean))`` as the gradient of the weight and ``sum(grad)`` as the bias's;
* ``native_batch_norm`` in evaluation, with the variance 1 and the eps 0, is ``(x - mean) * weight +
  bias``.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

aten = torch.ops.aten


def planes_of(x: Tensor) -> 'Planes':
    """Return the class for the planes of ``x``, ``(N, C, *)``, by its device and memory order.

    In channels-last order on a CPU, torch's only kernel for planes is its batch norm, one image at
    a time. On CUDA this would be one launch per image, so other kernels are used there.
    """
    if not _is_channels_last(x):
        return ContiguousPlanes(x)
    return ReducedPlanes(x) if x.is_cuda else PlanesByImage(x)


def _is_channels_last(x: Tensor) -> bool:
    # With one channel both orders are the same; torch's batch norm treats it as channels-last.
    if x.is_contiguous() and not x.shape[1] == 1 < x.dim() - 2:
        return False
    return _as_images(x).is_contiguous(memory_format=torch.channels_last)


def _as_images(x: Tensor) -> Tensor:
    """View as ``(N, C, rows, columns)``, or take a slice that is not channels-last either."""
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
    """``(N, C)`` planes (``shape``) of ``size`` values each.

    Numbers per plane are tensors ``(N, C)``, or ``(1, C)`` if all images share them. Their
    ``dtype`` is float32, or float64 for float64 inputs.
    """

    def __init__(self, x: Tensor) -> None:
        self.shape = x.shape[:2]
        self.size = x.shape[2:].numel()
        self.dtype = torch.float64 if x.dtype == torch.float64 else torch.float32

    def arrange(self, x: Tensor) -> Tensor:
        """Return ``x`` in the memory order that the other methods need."""
        raise NotImplementedError

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """:meth:`statistics` of an input that is not empty."""
        raise NotImplementedError

    def _sums(self, grad: Tensor, x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`sums` of an input that is not empty, with a ``center`` for each plane."""
        raise NotImplementedError

    def _affine(
        self,
        x: Tensor,
        center: Tensor | None,
        scale: Tensor,
        shift: Tensor | None,
        out: Tensor,
        same_bits: bool,
    ) -> None:
        """:meth:`affine` of an input that is not empty."""
        raise NotImplementedError

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute mean and biased variance of each plane, ``(N, C)``.

        Returns:
            Mean, variance, and scratch: a tensor like ``x`` that the caller may overwrite, or None.
        """
        if not x.numel():
            return *x.new_zeros(2, *self.shape, dtype=self.dtype), None
        return self._statistics(x)

    def sums(self, grad: Tensor, x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Sum ``grad`` and ``grad * (x - center)`` over each plane, ``(N, C)``."""
        if not x.numel():
            grad_sum, moment = x.new_zeros(2, *self.shape, dtype=self.dtype)
            return grad_sum, moment
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
        """Compute ``(x - center) * scale + shift``, in the dtype and order of ``x``; None is 0.

        Args:
            out: Memory for the result.
            same_bits: Compute with the rounding of torch's batch norm, if there is a choice.
        """
        out = torch.empty_like(x) if out is None else out
        if x.numel():
            self._affine(x, center, scale, shift, out, same_bits)
        return out

    def combine(
        self,
        grad: Tensor,
        x: Tensor,
        grad_factor: Tensor,
        x_factor: Tensor | None,
        constant: Tensor | None,
    ) -> Tensor:
        """Compute ``grad_factor * grad + x_factor * x + constant``; None is 0."""
        if x_factor is None or constant is None:
            return self.affine(grad, None, grad_factor, None)
        if x.dtype == self.dtype or x.is_cuda:
            out = self.affine(x, None, x_factor, constant)
            return out.addcmul_(grad, self.broadcast(grad_factor, x))
        # A CPU would copy the whole half-precision input to float32 to mix them.
        out = torch.empty_like(x)
        by_image = (self.broadcast(t, x) for t in (grad_factor, x_factor, constant))
        for i, (of_grad, of_x, added) in enumerate(zip(*by_image)):
            out[i] = torch.addcmul(added, x[i], of_x).addcmul_(grad[i], of_grad)
        return out

    def broadcast(self, per_plane: Tensor, x: Tensor) -> Tensor:
        """Reshape numbers per plane so that they broadcast against ``x``."""
        return per_plane.expand(self.shape).reshape(*self.shape, *[1] * (x.dim() - 2))


class _BatchNormPlanes(Planes):
    """Planes by torch's kernels of batch norm, which treat planes as channels.

    A subclass defines how the planes are divided into batches.
    """

    @property
    def num_channels(self) -> int:
        """Number of channels of each batch."""
        raise NotImplementedError

    def _batches(self, *tensors: Tensor) -> Iterable[Sequence[Tensor]]:
        """Yield the views of tensors like ``x``, batch by batch."""
        raise NotImplementedError

    def _per_batch(self, per_plane: Tensor) -> Iterable[Tensor]:
        """Split numbers per plane into ``(num_channels,)`` per batch."""
        raise NotImplementedError

    def _join(self, of_batches: tuple[Tensor, ...]) -> Tensor:
        """The inverse of :meth:`_per_batch`."""
        raise NotImplementedError

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        # Running statistics in float32 make the kernel return float32 for half precision. They
        # are not used: a plane with one value has no unbiased variance and makes them NaN.
        unused_running = (
            (None, None)
            if x.dtype == self.dtype
            else x.new_zeros(2, self.num_channels, dtype=self.dtype)
        )
        mean_and_var = [
            aten.batch_norm_update_stats(batch, *unused_running, 0.0)
            for (batch,) in self._batches(x)
        ]
        means, variances = zip(*mean_and_var)
        return self._join(means), self._join(variances), None

    def _sums(self, grad: Tensor, x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        one = x.new_ones(self.num_channels, dtype=self.dtype)
        weight_and_bias_gradients = [
            aten.native_batch_norm_backward(
                batch_grad, batch, one, None, None, mean, one, True, 0.0, [False, True, True]
            )[1:]
            for (batch_grad, batch), mean in zip(self._batches(grad, x), self._per_batch(center))
        ]
        moments, grad_sums = zip(*weight_and_bias_gradients)
        return self._join(grad_sums), self._join(moments)

    def _affine(
        self,
        x: Tensor,
        center: Tensor | None,
        scale: Tensor,
        shift: Tensor | None,
        out: Tensor,
        same_bits: bool,
    ) -> None:
        per_batch = (
            self._per_batch(_or_zeros(t, scale).expand(self.shape)) for t in (center, scale, shift)
        )
        _affine_of_channels(self._batches(x, out), zip(*per_batch))


def _or_zeros(per_plane: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if per_plane is None else per_plane


def _affine_of_channels(
    batches: Iterable[Sequence[Tensor]], numbers: Iterable[Sequence[Tensor]]
) -> None:
    """Write ``(x - center) * scale + shift`` to ``out``, with ``(C,)`` numbers of each batch."""
    one = None
    for (x, out), (center, scale, shift) in zip(batches, numbers):
        if one is None:
            one = torch.ones_like(scale)
            # CUDA copies the statistics there.
            unused_mean, unused_inv_std = torch.empty_like(one), torch.empty_like(one)
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
            save_mean=unused_mean,
            save_invstd=unused_inv_std,
        )


class ContiguousPlanes(_BatchNormPlanes):
    """Planes that are contiguous: all are channels of one batch with one image.

    Any memory order except channels-last is made contiguous.
    """

    @property
    def num_channels(self) -> int:
        return self.shape.numel()

    def arrange(self, x: Tensor) -> Tensor:
        return x.contiguous()

    def _batches(self, *tensors: Tensor) -> Iterable[Sequence[Tensor]]:
        return [[t.view(1, -1, self.size) for t in tensors]]

    def _per_batch(self, per_plane: Tensor) -> Iterable[Tensor]:
        return [per_plane.reshape(-1)]

    def _join(self, of_batches: tuple[Tensor, ...]) -> Tensor:
        return of_batches[0].view(self.shape)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        if x.dtype != self.dtype or x.device.type != 'cpu':
            return super()._statistics(x)
        # On this device several times as fast as the kernel, and as exact.
        rows = x.view(-1, self.size)
        mean = rows.mean(-1, keepdim=True)
        scratch = torch.empty_like(x)
        centered = torch.sub(rows, mean, out=scratch.view(-1, self.size))
        var = torch.linalg.vector_norm(centered, dim=-1).square() / self.size
        return mean.view(self.shape), var.view(self.shape), scratch


class _ChannelsLast(Planes):
    """Planes of an image that alternate value by value in memory (channels-last)."""

    def arrange(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return x.transpose(1, 2).contiguous().transpose(1, 2)
        return x.contiguous(
            memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        )

    def affine(
        self,
        x: Tensor,
        center: Tensor | None,
        scale: Tensor,
        shift: Tensor | None,
        out: Tensor | None = None,
        same_bits: bool = False,
    ) -> Tensor:
        if not x.numel() or any(t is not None and len(t) > 1 for t in (center, scale, shift)):
            return super().affine(x, center, scale, shift, out, same_bits)
        # All images share the numbers, so they are one batch.
        out = torch.empty_like(x) if out is None else out
        per_channel = [_or_zeros(t, scale)[0] for t in (center, scale, shift)]
        _affine_of_channels([(_as_images(x), _as_images(out))], [per_channel])
        return out

    def _affine_of_all_images(
        self, x: Tensor, center: Tensor | None, scale: Tensor, shift: Tensor | None, out: Tensor
    ) -> None:
        if center is not None:
            shift = _or_zeros(shift, scale) - center * scale
        scale, shift = (self.broadcast(t, x) for t in (scale, _or_zeros(shift, scale)))
        torch.addcmul(shift, x, scale, out=out)


class PlanesByImage(_ChannelsLast, _BatchNormPlanes):
    """Channels-last on a CPU: each image is a separate batch."""

    @property
    def num_channels(self) -> int:
        return self.shape[1]

    def _batches(self, *tensors: Tensor) -> Iterable[Sequence[Tensor]]:
        return zip(*(_as_images(t).split(1) for t in tensors))

    def _per_batch(self, per_plane: Tensor) -> Iterable[Tensor]:
        return per_plane.contiguous().unbind()

    def _join(self, of_batches: tuple[Tensor, ...]) -> Tensor:
        return torch.stack(of_batches)

    def _affine(
        self,
        x: Tensor,
        center: Tensor | None,
        scale: Tensor,
        shift: Tensor | None,
        out: Tensor,
        same_bits: bool,
    ) -> None:
        if same_bits or x.dtype != self.dtype:
            super()._affine(x, center, scale, shift, out, same_bits)
        else:
            self._affine_of_all_images(x, center, scale, shift, out)


class ReducedPlanes(_ChannelsLast):
    """Channels-last on CUDA: reductions over the whole batch.

    Their number does not depend on the batch size; they read half precision and return float32. The
    backward pass allocates one float32 tensor of the input's size for a moment.
    """

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        within_plane = tuple(range(2, x.dim()))
        if x.dtype == self.dtype:
            var, mean = torch.var_mean(x, within_plane, correction=0)
        else:
            mean = x.mean(within_plane, dtype=self.dtype)
            var = torch.var(x, within_plane, correction=0, out=torch.empty_like(mean))
        return mean, var, None

    def _sums(self, grad: Tensor, x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        within_plane = tuple(range(2, x.dim()))
        product = torch.sub(x, self.broadcast(center, x)).mul_(grad)
        return grad.sum(within_plane, dtype=self.dtype), product.sum(within_plane)

    def _affine(
        self,
        x: Tensor,
        center: Tensor | None,
        scale: Tensor,
        shift: Tensor | None,
        out: Tensor,
        same_bits: bool,
    ) -> None:
        self._affine_of_all_images(x, center, scale, shift, out)
