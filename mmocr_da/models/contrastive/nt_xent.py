"""The contrastive loss of SeqCLR (Aberdam et al., CVPR 2021, eq. 1), in memory linear in instances.

``l_NCE`` of an instance is ``logsumexp_j(s_ij / tau) - s_ip / tau``: ``s`` is the cosine
similarity, ``p`` the same place in the other view, ``j`` runs over all instances of both views but
``i``. The matrix of similarities is never whole in memory: its blocks are computed once for the
sums and once more for the gradients,

    dL/dz_i = sum_j (w_i P_ij + w_j P_ji) z_j / tau - (w_i + w_p) z_p / tau,
    P_ij = exp(s_ij / tau - logsumexp_i),

where ``w`` is the weight of an instance in the loss. The second term of the first sum is the effect
of ``i`` as a negative of other instances. It needs the ``logsumexp`` of other instances, also on
other ranks, and nothing else of their backward pass.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmocr_da.arguments import check_count, check_number
from mmocr_da.registry import MODELS

REDUCTIONS = ('mean', 'sum')
#: Instances shorter than this count as noise: it is the rounding error of features around 1 in half
#: precision.
MIN_LENGTH = torch.finfo(torch.float16).eps


@MODELS.register_module()
class NTXentLoss(nn.Module):
    """Contrastive loss over two aligned sets of instances, see :func:`nt_xent`."""

    def __init__(
        self, temperature: float = 0.1, reduction: str = 'mean', block_size: int = 256
    ) -> None:
        super().__init__()
        _check(temperature, reduction, block_size)
        self.temperature = temperature
        self.reduction = reduction
        self.block_size = block_size

    def forward(self, za: Tensor, zb: Tensor) -> Tensor:
        return nt_xent(za, zb, self.temperature, self.reduction, self.block_size)


def nt_xent(
    za: Tensor, zb: Tensor, temperature: float = 0.1, reduction: str = 'mean', block_size: int = 256
) -> Tensor:
    """Compute SeqCLR's eq. 1: instances at the same place attract, all others repel each other.

    The negatives come from all processes, and the gradients that DDP averages equal the gradients
    of one process with all instances. So every process must call it, also with ``M = 0``. Under AMP
    it computes in float32.

    Args:
        za: Instances of one view, ``(M, D)``, of any length: cosines are compared. Those shorter
            than :data:`MIN_LENGTH` are divided by it instead of by their length, so that gradients
            are magnified by at most ``1 / MIN_LENGTH``, also for an instance of zeros.
        zb: Instances of the other view, ``(M, D)``; ``zb[i]`` is the positive of ``za[i]``.
        temperature: tau. The paper states none; 0.1 is the authors' code.
        reduction: ``'mean'`` over all 2 M instances, or their ``'sum'``, as published in eq. 1.
        block_size: Number of rows of similarities that are in memory at a time.

    Returns:
        A scalar, 0 for ``M <= 1`` in one process: there is no negative.

    Raises:
        ValueError: If the shapes differ, or an option is out of range.

    >>> z = torch.eye(2)
    >>> nt_xent(z, z, temperature=1.)  # log(e + 2) - 1
    tensor(0.5514)
    """
    _check(temperature, reduction, block_size)
    if za.shape != zb.shape or za.dim() != 2:
        raise ValueError(
            'za and zb must be (M, D) of the same shape, got '
            f'{tuple(za.shape)} and {tuple(zb.shape)}'
        )
    with torch.autocast(za.device.type, enabled=False):
        dtype = torch.promote_types(za.dtype, torch.float32)
        z = F.normalize(torch.cat([za, zb]).to(dtype), dim=1, eps=MIN_LENGTH)
        losses, total = _NTXent.apply(z, temperature, block_size)
        # DDP divides the gradients by the number of ranks.
        scale = get_world_size() / (total.clamp(min=1) if reduction == 'mean' else 1)
        return losses * scale


def _check(temperature: float, reduction: str, block_size: int) -> None:
    check_number('temperature', temperature, above=0)
    check_count('block_size', block_size)
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be one of {", ".join(REDUCTIONS)}, got {reduction!r}')


class _NTXent(torch.autograd.Function):
    """``(2 M, D)`` unit vectors, view by view -> sum of the losses, number of instances."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float, block_size: int) -> tuple[Tensor, Tensor]:
        keys, first = _gather(z)
        ctx.temperature, ctx.block_size, ctx.first = temperature, block_size, first
        scaled = z / temperature
        lse = z.new_empty(len(z))
        for rows in _blocks(len(z), block_size):
            similarities = scaled[rows] @ keys.T
            _own(similarities, rows, first).fill_(float('-inf'))
            lse[rows] = similarities.logsumexp(1)
        positive = (z * _partner(z)).sum(1) / temperature
        ctx.save_for_backward(z, keys, lse, _gather(lse)[0])
        total = z.new_full((), len(keys))
        ctx.mark_non_differentiable(total)
        return (lse - positive).sum(), total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, None, None]:
        z, keys, lse, all_lse = ctx.saved_tensors
        scaled = z / ctx.temperature
        out = torch.empty_like(z)
        # A user may call backward where autocast is on.
        with torch.autocast(z.device.type, enabled=False):
            for rows in _blocks(len(z), ctx.block_size):
                similarities = scaled[rows] @ keys.T
                _own(similarities, rows, ctx.first).fill_(float('-inf'))
                # The matrix is symmetric, so a row also has the effect of the instance as a
                # negative.
                weights = (similarities - lse[rows, None]).exp_()
                weights += similarities.sub_(all_lse).exp_()
                torch.mm(weights, keys, out=out[rows])
        out -= 2 * _partner(z)
        return out.mul_(grad / ctx.temperature), None, None


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, count)) for i in range(0, count, size))


def _partner(z: Tensor) -> Tensor:
    """The same instances in the other view."""
    return z.roll(len(z) // 2, 0)


def _own(similarities: Tensor, rows: slice, first: int) -> Tensor:
    """A view of the similarities of rows with themselves."""
    return similarities[:, first + rows.start : first + rows.stop].diagonal()


def _gather(x: Tensor) -> tuple[Tensor, int]:
    """The rows of all ranks, and the first row of this rank; numbers of rows may differ."""
    if get_world_size() == 1:
        return x, 0
    counts = torch.stack(all_gather(torch.full((), len(x), device=x.device))).tolist()
    padded = F.pad(x, (0, 0) * (x.dim() - 1) + (0, max(counts) - len(x)))
    parts = [part[:n] for part, n in zip(all_gather(padded.contiguous()), counts)]
    return torch.cat(parts), sum(counts[: get_rank()])
