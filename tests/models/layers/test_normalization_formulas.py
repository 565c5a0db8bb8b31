"""Each numbered equation against sums over all values, and against derivatives of eq. 1."""

import pytest
import torch

from mmocr_da.models.layers.normalization_formulas import (
    affine_map,
    batch_statistics,
    batch_terms,
    gradient_sums,
    instance_terms,
    parameter_gradients,
    scales_of,
    sum_of_terms,
)
from mmocr_da.models.layers.row_groups import RowGroups, WholeBatch

EPS = 1e-5
ROWS, CHANNELS, SIZE = 5, 3, 7
GROUPS = {
    'batch': WholeBatch(),
    'domains': RowGroups(torch.tensor([1, 0, 1, 1, 0]), (2, 3)),
}


def draw():
    generator = torch.Generator().manual_seed(0)
    x, grad = torch.randn(2, ROWS, CHANNELS, SIZE, generator=generator, dtype=torch.float64)
    rho, weight, bias = torch.rand(3, CHANNELS, generator=generator, dtype=torch.float64)
    return x * 2 + 3, grad, rho, weight, bias


def plane_statistics(x):
    return x.mean(-1), x.var(-1, unbiased=False)


def members(groups):
    """The rows of each group."""
    if not isinstance(groups, RowGroups):
        return [torch.arange(ROWS)]
    return [(groups.group_of_row == g).nonzero()[:, 0] for g in range(len(groups.counts))]


def equation_1(x, rho, weight, bias, groups):
    """Written down once more, by autograd's own operations."""
    y = torch.empty_like(x)
    for rows in members(groups):
        for c in range(CHANNELS):
            values = x[rows, c]
            of_batch = (values - values.mean()) / (values.var(unbiased=False) + EPS).sqrt()
            mean, var = values.mean(1, True), values.var(1, unbiased=False, keepdim=True)
            of_instance = (values - mean) / (var + EPS).sqrt()
            y[rows, c] = weight[c] * (rho[c] * of_batch + (1 - rho[c]) * of_instance) + bias[c]
    return y


@pytest.mark.parametrize('groups', GROUPS.values(), ids=GROUPS)
def test_statistics_of_groups_follow_from_those_of_planes(groups):
    """Eq. 2."""
    x = draw()[0]
    found = batch_statistics(*plane_statistics(x), SIZE, groups, None)
    for g, rows in enumerate(members(groups)):
        values = x[rows].transpose(0, 1).flatten(1)
        torch.testing.assert_close(found.mean[g], values.mean(1))
        torch.testing.assert_close(found.var[g], values.var(1, unbiased=False))
        torch.testing.assert_close(found.mean_offset[rows], x[rows].mean(-1) - values.mean(1))
        size = found.group_size
        assert (size if isinstance(size, int) else size[g].item()) == values.size(1)


@pytest.mark.parametrize('groups', GROUPS.values(), ids=GROUPS)
def test_output_and_gradients_are_those_of_equation_1(groups):
    """Eq. 3 to 11, for both norms and for batch norm alone."""
    x, grad, rho, weight, bias = draw()
    instance_mean, instance_var = plane_statistics(x)
    of_batch = batch_statistics(instance_mean, instance_var, SIZE, groups, None)
    for gate in (rho, None):
        batch, instance = scales_of(gate, weight, instance_var, of_batch.var, EPS)
        center, scale, shift = affine_map(
            batch, instance, bias, of_batch.mean, of_batch.mean_offset, groups
        )
        y = (x - center[..., None]) * scale[..., None] + shift[..., None]
        moment = (grad * (x - instance_mean[..., None])).sum(-1)
        sums = gradient_sums(grad.sum(-1), moment, of_batch.mean_offset, groups)
        found = parameter_gradients(sums, batch, instance, gate, weight, groups)
        x_factor, constant = sum_of_terms(
            batch_terms(sums, batch, of_batch.mean, of_batch.group_size, groups, None),
            None if instance is None else instance_terms(sums, instance, instance_mean, SIZE),
        )
        d_x = scale[..., None] * grad + x_factor[..., None] * x + constant[..., None]

        used = torch.ones_like(rho) if gate is None else rho
        inputs = [t.clone().requires_grad_() for t in (x, used, weight, bias)]
        expected = equation_1(*inputs, groups)
        torch.testing.assert_close(y, expected.detach())
        wanted = torch.autograd.grad(expected, inputs, grad)
        for name, a, b in zip(('x', 'rho', 'weight', 'bias'), (d_x, *found), wanted):
            if a is not None:
                torch.testing.assert_close(a, b, msg=lambda m, name=name: f'{name}: {m}')
        assert (found[0] is None) == (gate is None)


def test_given_statistics_have_no_gradient():
    """Without (10a) and (11a), batch norm is linear in all of ``x``."""
    x, grad, _, weight, bias = draw()
    mean, var = torch.rand(2, 1, CHANNELS, dtype=torch.float64) + 0.5
    batch, instance = scales_of(None, weight, None, var, EPS)
    assert instance is None and sum_of_terms(None, None) == (None, None)
    x.requires_grad_()
    y = torch.nn.functional.batch_norm(x, mean[0], var[0], weight, bias, eps=EPS)
    torch.testing.assert_close(
        torch.autograd.grad(y, x, grad)[0], batch.scale[..., None] * grad, rtol=1e-6, atol=0
    )
