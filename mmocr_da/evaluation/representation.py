"""Measures of a contrastive representation, from the instances of two views.

Instances are ``(M, D)`` tensors with rows of length 1, see :func:`unit`; rows ``i`` of ``za`` and
``zb`` are two views of the same instance. Every function computes in float32, on the device of the
tensors, and returns a scalar tensor; it is NaN if there are too few instances.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def unit(z: Tensor) -> Tensor:
    """Normalize the rows to length 1, in float32.

    >>> unit(torch.tensor([[3., 4.]]))
    tensor([[0.6000, 0.8000]])
    """
    return F.normalize(z.float(), dim=1)


def alignment(za: Tensor, zb: Tensor) -> Tensor:
    """Mean squared distance of the two views, from 0 to 4 (Wang & Isola, ICML 2020, alpha = 2).

    >>> z = torch.eye(3)
    >>> alignment(z, z), alignment(z, z.roll(1, 0)), alignment(z, -z)
    (tensor(0.), tensor(2.), tensor(4.))
    """
    return (za.float() - zb.float()).square().sum(1).mean()


def uniformity(z: Tensor) -> Tensor:
    """Log of the mean potential ``exp(-2 ||z_i - z_j||^2)`` over all pairs, from -8 to 0.

    Lower values mean that the instances cover the sphere more evenly; 0 is a single point (Wang &
    Isola, ICML 2020, t = 2). Needs 2 instances.

    >>> uniformity(torch.eye(2)), uniformity(torch.tensor([[0., 1.], [0., 1.]]))
    (tensor(-4.), tensor(0.))
    """
    z = z.float()
    count = len(z)
    if count < 2:
        return z.new_full((), math.nan)
    # Since ||z_i - z_j||^2 = 2 - 2 z_i z_j.
    potential = (4 * (z @ z.T) - 4).fill_diagonal_(-math.inf)
    return potential.flatten().logsumexp(0) - math.log(count * (count - 1))


def spread(z: Tensor) -> Tensor:
    """Standard deviation per dimension, averaged, times ``sqrt(D)``, from 0 to 1.

    About 1 if the instances are spread evenly, 0 if all are the same (Chen & He, CVPR 2021, section
    4.1). Instances on a line can have a large spread, too: see :func:`effective_rank`. Needs 2
    instances.

    >>> z = torch.cat([torch.eye(4), -torch.eye(4)])
    >>> spread(z), spread(z[:1].expand(8, 4))
    (tensor(1.), tensor(0.))
    """
    if len(z) < 2:
        return z.new_full((), math.nan, dtype=torch.float32)
    return z.float().std(0, correction=0).mean() * z.size(1) ** 0.5


def effective_rank(z: Tensor) -> Tensor:
    """Number of dimensions in use, from 1 to ``min(M, D)`` (RankMe; Garrido et al., ICML 2023).

    It is ``exp`` of the entropy of the singular values, as shares of their sum.

    >>> rank = effective_rank(torch.eye(4)), effective_rank(torch.eye(4)[[0, 0, 1, 1]])
    >>> [round(r.item(), 3) for r in rank]
    [4.0, 2.0]
    """
    z = z.float()
    if not len(z):
        return z.new_full((), math.nan)
    # For a diverged model the result is NaN, like the others; the decomposition would raise.
    z = torch.where(z.isfinite().all(), z, torch.zeros_like(z))
    values = torch.linalg.svdvals(z)
    return torch.special.entr(values / values.sum()).sum().exp()


def agreement(za: Tensor, zb: Tensor) -> Tensor:
    """Share of the instances of ``za`` that are most similar to their other view in ``zb``.

    Chance level is ``1 / M``; the result is also ``1 / M`` if all instances are the same.

    >>> za = torch.eye(4)
    >>> agreement(za, za), agreement(za, za[[0, 1, 3, 2]]), agreement(za[[0] * 4], za[[0] * 4])
    (tensor(1.), tensor(0.5000), tensor(0.2500))
    """
    if not len(za):
        return za.new_full((), math.nan, dtype=torch.float32)
    nearest = (za.float() @ zb.float().T).argmax(1)
    return (nearest == torch.arange(len(za), device=za.device)).float().mean()
