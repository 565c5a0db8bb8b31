"""Measures of a representation: limits, invariances, an oracle in float64, known values."""

import math

import numpy as np
import pytest
import torch

from mmocr_da.evaluation import agreement, alignment, effective_rank, spread, uniformity
from mmocr_da.evaluation.representation import unit

ONE = (uniformity, spread, effective_rank)
TWO = (alignment, agreement)


def sphere(count, dim, seed=0):
    return unit(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)))


def noisy(z, scale, seed=1):
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
    return unit(z + scale * noise)


def oracle(za, zb):
    a, b = za.double().numpy(), zb.double().numpy()
    count, dim = a.shape
    pairs = [
        math.exp(-2 * sum((x - y) ** 2 for x, y in zip(a[i], a[j])))
        for j in range(count)
        for i in range(j)
    ]
    shares = np.linalg.svd(a, compute_uv=False)
    shares = shares / shares.sum()
    hits = [max(range(count), key=lambda j: a[i] @ b[j]) == i for i in range(count)]
    return dict(
        alignment=sum(((x - y) ** 2).sum() for x, y in zip(a, b)) / count,
        uniformity=math.log(sum(pairs) / len(pairs)),
        spread=sum(a[:, d].std() for d in range(dim)) / dim * math.sqrt(dim),
        effective_rank=math.exp(-sum(p * math.log(p) for p in shares)),
        agreement=sum(hits) / count,
    )


@pytest.mark.parametrize('count, dim', [(2, 3), (9, 4), (12, 20)])
@pytest.mark.parametrize('scale', [0.1, 1])
def test_they_are_what_their_formulas_say(count, dim, scale):
    za = sphere(count, dim)
    zb = noisy(za, scale)
    wanted = oracle(za, zb)
    got = {f.__name__: f(za) for f in ONE} | {f.__name__: f(za, zb) for f in TWO}
    assert {name: value.item() for name, value in got.items()} == pytest.approx(wanted, rel=1e-4)


def test_many_instances_that_point_everywhere():
    z = sphere(4000, 16)
    assert spread(z) == pytest.approx(1, abs=0.02)
    assert effective_rank(z) == pytest.approx(16, rel=0.01)
    # The minimum on this sphere is E[exp(-2 (2 - 2 t))], t a coordinate of a uniform point.
    t = sphere(10**6, 16, seed=5)[:, 0].double()
    assert uniformity(z) == pytest.approx((4 * t - 4).exp().mean().log().item(), abs=0.01)
    assert alignment(z, sphere(4000, 16, seed=2)) == pytest.approx(2, abs=0.05)


def test_a_single_point_is_collapse():
    z = sphere(1, 8).expand(50, 8)
    assert spread(z) == pytest.approx(0, abs=1e-6) and uniformity(z) == pytest.approx(0, abs=1e-5)
    assert effective_rank(z) == pytest.approx(1, abs=1e-2)
    assert alignment(z, z) == 0 and agreement(z, z) == pytest.approx(1 / 50)


def test_a_line_is_collapse_that_only_the_rank_shows():
    line = sphere(1, 8) * torch.tensor([1.0, -1.0]).repeat(25)[:, None]
    assert spread(line) > 0.8 and effective_rank(line) == pytest.approx(1, abs=1e-2)


def test_better_features_are_measured_as_better():
    za = sphere(200, 16)
    close, far = noisy(za, 0.1), noisy(za, 2)
    assert alignment(za, close) < alignment(za, far)
    assert 1 == agreement(za, close) > agreement(za, far) > 1 / 200
    # Instances that are drawn towards one point, step by step.
    drawn = [unit(za + k * torch.eye(16)[:1]) for k in (0, 1, 3, 10)]
    for measure, sign in ((uniformity, 1), (spread, -1), (effective_rank, -1)):
        values = [sign * measure(z).item() for z in drawn]
        assert values == sorted(values) and values[0] < values[-1] - 0.1


@pytest.mark.parametrize('measure', ONE + TWO)
def test_neither_a_rotation_nor_an_order_changes_them(measure):
    za = sphere(30, 6)
    zb = noisy(za, 0.5)
    turn = torch.linalg.qr(sphere(6, 6, seed=3))[0]
    order = torch.randperm(30, generator=torch.Generator().manual_seed(4))
    views = (za, zb) if measure in TWO else (za,)
    value = measure(*views)
    torch.testing.assert_close(measure(*(z[order] for z in views)), value)
    if measure is not spread:  # which goes by dimensions
        torch.testing.assert_close(measure(*(z @ turn for z in views)), value)


@pytest.mark.parametrize('measure', ONE + TWO)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_they_compute_in_float32(measure, dtype):
    z = sphere(20, 8).to(dtype)
    views = (z, z.roll(1, 0)) if measure in TWO else (z,)
    value = measure(*views)
    assert value.dtype == torch.float32 and value.dim() == 0
    torch.testing.assert_close(value, measure(*(z.float() for z in views)))


def test_a_similarity_is_not_rounded_to_half_precision():
    za, zb = torch.tensor([[[0, 1], [1, 2**-9]], [[1, 0], [1, 1]]], dtype=torch.bfloat16)
    assert agreement(za, zb) == 0.5


@pytest.mark.parametrize(
    'measure, count, value',
    [
        (alignment, 0, None),
        (agreement, 0, None),
        (uniformity, 0, None),
        (spread, 0, None),
        (effective_rank, 0, None),
        (alignment, 1, 4),
        (agreement, 1, 1),
        (uniformity, 1, None),
        (spread, 1, None),
        (effective_rank, 1, 1),
    ],
)
def test_too_few_instances_are_nan(measure, count, value):
    z = torch.eye(3)[:count]
    got = measure(z, -z) if measure in TWO else measure(z)
    assert got.isnan() if value is None else got == pytest.approx(value)
    assert got.dtype == torch.float32


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_a_diverged_model_is_nan_and_no_error(bad):
    z = sphere(5, 3)
    z[2, 1] = bad
    z = unit(z)
    assert all(measure(z).isnan() for measure in ONE) and alignment(z, z).isnan()


def test_rows_of_length_one():
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float16)
    assert unit(z).tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]
