"""Formulas of batch norm, instance norm and their blend, forward and backward, per plane.

A plane is one channel of one image, with ``plane_size`` values. A group is a set of images that
batch norm normalizes together (the whole batch, or one domain), with ``group_size`` values per
channel. ``instance_mean, instance_var`` are the mean and biased variance of a plane, ``batch_mean,
batch_var`` of a channel of a group; ``*_inv_std = 1 / sqrt(*_var + eps)``. The blend of Nam &
Kim (NeurIPS 2018, eq. 1 to 3) is, for each value ``x`` of a plane,

    y = weight (      rho  (x - batch_mean)    batch_inv_std
               + (1 - rho) (x - instance_mean) instance_inv_std) + bias.                         (1)

**Forward.** The statistics of a group follow from its planes' statistics, so ``x`` is read once.
With ``mean_offset = instance_mean - batch_mean``, and means over the images of the group,

    batch_mean = mean(instance_mean)                                                            (2a)
    batch_var = mean(instance_var + mean_offset^2).                                             (2b)

Within a plane (1) is linear in ``x``, so ``x`` is read once more for the output:

    batch_scale = rho weight batch_inv_std                                                      (3a)
    instance_scale = (1 - rho) weight instance_inv_std                                          (3b)
    y = (x - batch_mean) (batch_scale + instance_scale) + bias - mean_offset instance_scale.     (4)

**Backward.** ``grad`` is the gradient with respect to ``y``. All gradients follow from two sums
over each plane, so ``grad`` and ``x`` are read once for them:

    grad_sum = sum(grad)                                                                        (5a)
    instance_moment = sum(grad (x - instance_mean))                                             (5b)
    batch_moment = sum(grad (x - batch_mean)) = instance_moment + mean_offset grad_sum.         (5c)

``group_grad_sum`` and ``group_moment`` are the sums of ``grad_sum`` and ``batch_moment`` over the
images of a group. The derivatives of (1) with respect to the parameters are, summed over all images
(``instance``) or groups (``batch``),

    d_bias = sum(group_grad_sum)                                                                 (6)
    batch_slope = sum(batch_inv_std group_moment)                   the d_weight of batch norm  (7a)
    instance_slope = sum(instance_inv_std instance_moment)       the d_weight of instance norm  (7b)
    d_weight = rho batch_slope + (1 - rho) instance_slope                                       (7c)
    d_rho = weight (batch_slope - instance_slope).                                               (8)

A single norm ``(x - mean) inv_std`` of ``size`` values, multiplied by ``factor``, sends back

    factor inv_std (grad - sum(grad) / size - (x - mean) inv_std^2 sum(grad (x - mean)) / size),

which are the paths through ``x``, through the mean, and through the variance. It is linear in
``grad`` and ``x`` within a plane. Both norms together, each with its own sums and size:

    d_x = (batch_scale + instance_scale) grad + x_factor x + constant                            (9)
    x_factor = - batch_scale batch_inv_std^2 group_moment / group_size                         (10a)
               - instance_scale instance_inv_std^2 instance_moment / plane_size                (10b)
    constant = - batch_scale group_grad_sum / group_size - batch x_factor batch_mean           (11a)
               - instance_scale grad_sum / plane_size - instance x_factor instance_mean,       (11b)

where "batch x_factor" is the term (10a) and "instance x_factor" the term (10b). If the statistics
of the batch are given (evaluation), they do not depend on ``x``: (10a) and (11a) are 0. Without
``rho``, instance norm has no part: ``instance_scale`` is 0, and ``rho`` is 1.

Numbers of planes are ``(N, C)``, numbers of groups ``(G, C)``; float32, or float64 for float64
inputs. The code below has the same names.
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from .row_groups import WholeBatch, at_least_one


class BatchStatistics(NamedTuple):
    """Statistics by which batch norm normalizes."""

    mean: Tensor  # (G, C)
    var: Tensor  # biased, (G, C)
    mean_offset: Tensor  # (N, C)
    group_size: int | Tensor  # values per channel, a number or (G, 1)


def batch_statistics(
    instance_mean: Tensor,
    instance_var: Tensor,
    plane_size: int,
    groups: WholeBatch,
    process_group: dist.ProcessGroup | None,
) -> BatchStatistics:
    """Compute eq. 2, over the groups of all processes in ``process_group``, if there is one."""
    mean = groups.mean(instance_mean)  # (2a)
    mean_offset = instance_mean - groups.expand(mean)
    # Not E[x^2] - E[x]^2, which cancels.
    var = groups.mean(torch.addcmul(instance_var, mean_offset, mean_offset))  # (2b)
    group_size = groups.sizes(instance_mean) * plane_size
    if process_group is None:
        return BatchStatistics(mean, var, mean_offset, group_size)
    # Eq. 2 again, with the part of a group on a rank as the plane; parts may differ in size.
    of_rank = torch.cat([mean, var, mean.new_zeros(len(mean), 1) + group_size], dim=1)
    of_ranks = of_rank.new_empty(dist.get_world_size(process_group), *of_rank.shape)
    dist.all_gather(list(of_ranks.unbind()), of_rank, group=process_group)
    channels = instance_mean.shape[1]
    means, variances, sizes = of_ranks.split([channels, channels, 1], dim=-1)
    group_size = sizes.sum(0)
    divisor = at_least_one(group_size)
    mean = (sizes * means).sum(0) / divisor
    var = (sizes * (variances + (means - mean).square())).sum(0) / divisor
    return BatchStatistics(mean, var, instance_mean - groups.expand(mean), group_size)


class Scales(NamedTuple):
    """Factors of a norm, eq. 3."""

    inv_std: Tensor  # 1 / sqrt(var + eps)
    scale: Tensor  # with its share of the blend, and the weight


def scales_of(
    rho: Tensor | None,
    weight: Tensor | None,
    instance_var: Tensor | None,
    batch_var: Tensor,
    eps: float,
) -> tuple[Scales, Scales | None]:
    """Compute eq. 3 of batch norm ``(G, C)`` and, with ``rho``, of instance norm ``(N, C)``."""
    batch_inv_std = (batch_var + eps).rsqrt()
    if rho is None or instance_var is None:
        batch_scale = batch_inv_std if weight is None else batch_inv_std * weight
        return Scales(batch_inv_std, batch_scale), None
    instance_inv_std = (instance_var + eps).rsqrt()
    batch_weight = rho if weight is None else rho * weight
    instance_weight = (1 if weight is None else weight) - batch_weight
    batch_scale = batch_inv_std * batch_weight  # (3a)
    instance_scale = instance_inv_std * instance_weight  # (3b)
    return Scales(batch_inv_std, batch_scale), Scales(instance_inv_std, instance_scale)


class AffineMap(NamedTuple):
    """``y = (x - center) * scale + shift`` within each plane, ``(N or 1, C)`` each."""

    center: Tensor
    scale: Tensor
    shift: Tensor


def affine_map(
    batch: Scales,
    instance: Scales | None,
    bias: Tensor | None,
    batch_mean: Tensor,
    mean_offset: Tensor | None,
    groups: WholeBatch,
) -> AffineMap:
    """Compute eq. 4; without ``instance``, batch norm alone."""
    scale = groups.expand(batch.scale)
    shift = torch.zeros_like(batch_mean[:1]) if bias is None else bias[None]
    if instance is not None and mean_offset is not None:
        scale = scale + instance.scale
        shift = torch.addcmul(shift, mean_offset, instance.scale, value=-1)
    return AffineMap(groups.expand(batch_mean), scale, shift)


class GradientSums(NamedTuple):
    """The sums from which all gradients follow, eq. 5."""

    grad_sum: Tensor  # (N, C)
    instance_moment: Tensor | None  # (N, C); None if the sums were made for batch norm alone
    group_grad_sum: Tensor  # (G, C)
    group_moment: Tensor  # (G, C)


def gradient_sums(
    grad_sum: Tensor, moment: Tensor, mean_offset: Tensor | None, groups: WholeBatch
) -> GradientSums:
    """Compute eq. 5c and the sums over groups.

    Args:
        grad_sum: (5a).
        moment: (5b); without ``mean_offset`` it is (5c) already.
    """
    if mean_offset is None:
        return GradientSums(grad_sum, None, groups.sum(grad_sum), groups.sum(moment))
    batch_moment = torch.addcmul(moment, mean_offset, grad_sum)  # (5c)
    return GradientSums(grad_sum, moment, groups.sum(grad_sum), groups.sum(batch_moment))


def parameter_gradients(
    sums: GradientSums,
    batch: Scales,
    instance: Scales | None,
    rho: Tensor | None,
    weight: Tensor | None,
    groups: WholeBatch,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Compute eq. 6 to 8.

    Returns:
        ``d_rho, d_weight, d_bias``, ``(C,)`` each; ``d_rho`` is None without ``instance``.
    """
    d_bias = groups.total(sums.group_grad_sum)  # (6)
    batch_slope = groups.total(batch.inv_std * sums.group_moment)  # (7a)
    if instance is None or rho is None:
        return None, batch_slope, d_bias
    assert sums.instance_moment is not None
    instance_slope = (instance.inv_std * sums.instance_moment).sum(0)  # (7b)
    d_weight = torch.lerp(instance_slope, batch_slope, rho)  # (7c)
    d_rho = batch_slope - instance_slope  # (8)
    return d_rho if weight is None else d_rho * weight, d_weight, d_bias


class InputTerms(NamedTuple):
    """A norm's ``x_factor`` and ``constant``, eq. 10 and 11; ``(N, C)``, or ``(1, C)`` for all."""

    x_factor: Tensor
    constant: Tensor


def batch_terms(
    sums: GradientSums,
    batch: Scales,
    batch_mean: Tensor,
    group_size: int | Tensor,
    groups: WholeBatch,
    process_group: dist.ProcessGroup | None,
) -> InputTerms:
    """Compute eq. 10a and 11a, with the sums of all processes in ``process_group``, if any."""
    grad_sum, moment = sums.group_grad_sum, sums.group_moment
    if process_group is not None:
        both = torch.stack([grad_sum, moment])
        dist.all_reduce(both, group=process_group)
        grad_sum, moment = both
    scale_by_size = batch.scale * (-1 / at_least_one(group_size))
    x_factor = scale_by_size * batch.inv_std.square() * moment  # (10a)
    constant = torch.addcmul(scale_by_size * grad_sum, x_factor, batch_mean, value=-1)  # (11a)
    return InputTerms(groups.expand(x_factor), groups.expand(constant))


def instance_terms(
    sums: GradientSums, instance: Scales, instance_mean: Tensor, plane_size: int
) -> InputTerms:
    """Compute eq. 10b and 11b."""
    assert sums.instance_moment is not None
    scale_by_size = instance.scale * (-1 / plane_size)
    slope = instance.inv_std * sums.instance_moment
    x_factor = scale_by_size * instance.inv_std * slope  # (10b)
    # (11b)
    constant = torch.addcmul(scale_by_size * sums.grad_sum, x_factor, instance_mean, value=-1)
    return InputTerms(x_factor, constant)


def sum_of_terms(
    first: InputTerms | None, second: InputTerms | None
) -> tuple[Tensor | None, Tensor | None]:
    """Add ``x_factor`` and ``constant`` of both norms, eq. 10 and 11; None is 0."""
    if first is None or second is None:
        return first or second or (None, None)
    return first.x_factor + second.x_factor, first.constant + second.constant
