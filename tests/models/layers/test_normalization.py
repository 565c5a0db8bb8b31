"""Batch norm, instance norm and their blend: equations, limits, layouts, gradients."""

import itertools

import pytest
import torch
from torch import nn

from mmocr_da.models.layers import normalize
from mmocr_da.models.layers.row_groups import RowGroups

SHAPES = [(8, 3), (5, 3, 7), (4, 3, 5, 6), (3, 3, 2, 4, 5)]
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def equations(x, rho, weight, bias, mean=None, var=None, eps=1e-5, index=None):
    """Eq. 1 to 3 of the paper, one channel and one image at a time."""
    y = torch.empty_like(x)
    domains = [0] * len(x) if index is None else index.tolist()
    for c in range(x.shape[1]):
        for n, domain in enumerate(domains):
            fellows = x[[i for i, d in enumerate(domains) if d == domain], c]
            mu = fellows.mean() if mean is None else mean[domain, c]
            square = ((fellows - mu) ** 2).mean() if var is None else var[domain, c]
            of_batch = (x[n, c] - mu) / (square + eps) ** 0.5
            own = x[n, c] - x[n, c].mean()
            of_image = own / ((own**2).mean() + eps) ** 0.5
            gate = 1 if x[n, c].numel() == 1 else rho[c]
            y[n, c] = (gate * of_batch + (1 - gate) * of_image) * weight[c] + bias[c]
    return y


def inputs(shape, layout='contiguous', dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    channels = shape[1]
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 2 + 3
    x = x * torch.linspace(0.5, 2, shape[0]).view(-1, *[1] * (len(shape) - 1))  # images differ
    if layout == 'last':
        x = (
            x.contiguous(memory_format=LAYOUTS[len(shape)])
            if len(shape) in LAYOUTS
            else x.transpose(1, -1).contiguous().transpose(1, -1)
        )
    elif layout == 'strided':
        x = torch.stack([x, x], -1).flatten(-2)[..., ::2]
    rho = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)[:channels]
    weight, bias = torch.randn(2, channels, generator=generator, dtype=torch.float64)
    return [t.to(dtype).requires_grad_() for t in (x, rho, weight, bias)]


def gradients(y, tensors, seed=5, rounded_to=None):
    generator = torch.Generator().manual_seed(seed)
    grad = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    grad = grad.to(rounded_to or y.dtype).to(y.dtype)
    found = torch.autograd.grad(y, tensors, grad, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found)]


@pytest.mark.parametrize('from_batch', [True, False])
@pytest.mark.parametrize('layout', ['contiguous', 'last', 'strided'])
@pytest.mark.parametrize('shape', SHAPES)
def test_outputs_and_all_gradients_are_those_of_the_equations(shape, layout, from_batch):
    tensors = inputs(shape, layout)
    mean = var = None
    if not from_batch:
        mean, var = torch.rand(2, 1, 3, dtype=torch.float64) + 0.5
    y = normalize(*tensors, mean, var)[0]
    expected = equations(*tensors, mean, var)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    for a, b in zip(gradients(y, tensors), gradients(expected, tensors)):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('layout', ['contiguous', 'last'])
@pytest.mark.parametrize('shape', SHAPES)
def test_the_order_of_the_input_in_memory_is_kept(shape, layout):
    x, *rest = inputs(shape, layout)
    y = normalize(x, *rest)[0]
    assert y.stride() == x.stride()
    assert torch.autograd.grad(y.sum(), x)[0].stride() == x.stride()


@pytest.mark.parametrize('layout', ['contiguous', 'last'])
@pytest.mark.parametrize('from_batch', [True, False])
def test_per_domain_each_is_normalized_as_if_it_were_alone(layout, from_batch):
    tensors = inputs((5, 3, 4, 6), layout)
    index = torch.tensor([1, 0, 1, 1, 0])
    groups = RowGroups(index, (2, 3))
    mean = var = None
    if not from_batch:
        mean, var = torch.rand(2, 2, 3, dtype=torch.float64) + 0.5
    y, found_mean, found_var, count = normalize(*tensors, mean, var, groups=groups)
    expected = equations(*tensors, mean, var, index=index)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    for a, b in zip(gradients(y, tensors), gradients(expected, tensors)):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    if from_batch:
        x = tensors[0].detach()
        for d in (0, 1):
            part = x[index == d].transpose(0, 1).flatten(1)
            torch.testing.assert_close(found_mean[d], part.mean(1))
            torch.testing.assert_close(found_var[d], part.var(1, unbiased=False))
        assert count.tolist() == [[2 * 24], [3 * 24]]


def test_an_absent_domain_changes_nothing_for_the_other():
    tensors = inputs((4, 3, 5, 6))
    groups = RowGroups(torch.ones(4, dtype=torch.long), (0, 4))
    y = normalize(*tensors, groups=groups)[0]
    assert torch.equal(y, normalize(*tensors)[0])
    assert all(g.isfinite().all() for g in gradients(y, tensors))


@pytest.mark.parametrize('shape', SHAPES)
def test_limits_are_torchs_batch_norm_and_instance_norm(shape):
    x, _, weight, bias = inputs(shape)
    batch = nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    torch.testing.assert_close(normalize(x, torch.ones(3).double(), weight, bias)[0], batch)
    torch.testing.assert_close(normalize(x, None, weight, bias)[0], batch)
    if len(shape) > 2:
        instance = nn.functional.instance_norm(x, weight=weight, bias=bias)
        torch.testing.assert_close(normalize(x, torch.zeros(3).double(), weight, bias)[0], instance)


def test_at_zero_style_does_not_matter_and_at_one_it_does():
    x, _, weight, bias = inputs((4, 3, 5, 6))
    styled = x * torch.tensor([1.0, 5, 2, 9]).double().view(-1, 1, 1, 1) + 7
    closed, opened = torch.zeros(3).double(), torch.ones(3).double()
    results = [
        normalize(t, gate, weight, bias, eps=1e-12)[0]
        for t, gate in itertools.product((x, styled), (closed, opened))
    ]
    torch.testing.assert_close(results[0], results[2], rtol=1e-9, atol=1e-9)
    assert (results[1] - results[3]).abs().max() > 0.1


@pytest.mark.parametrize('shape', [(6, 3), (6, 3, 1, 1)])
def test_a_single_value_per_image_is_batch_norm_with_a_gradient_of_zero_for_the_gate(shape):
    x, rho, weight, bias = inputs(shape)
    y = normalize(x, rho, weight, bias)[0]
    torch.testing.assert_close(
        y, nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    )
    assert torch.autograd.grad(y.square().sum(), rho)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize('layout', ['contiguous', 'last'])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_keeps_statistics_in_float32(dtype, layout):
    # At 300 +- 1 half precision has steps of 0.25 to 2: its own mean and variance would be noise.
    x = (torch.randn(8, 3, 16, 16) + 300).to(dtype)
    x = x.contiguous(memory_format=LAYOUTS[4]) if layout == 'last' else x
    y, mean, var, _ = normalize(x, torch.tensor([0.0, 0.5, 1.0]), None, None)
    assert y.dtype == dtype and mean.dtype == var.dtype == torch.float32
    exact = x.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean[0].double(), exact.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(var[0].double(), exact.var(1, unbiased=False), rtol=1e-4, atol=0)


def planes(kind, layout):
    """``(4, 3, rows, columns)`` in float32, of which half precision makes something hard."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4, 3, *((1, 1) if kind == 'one value' else (5, 6)), generator=generator)
    if kind == 'constant':
        x[:2, 0] = 3.0  # of two images, and of one channel in all of them
        x[:, 1] = -300.0
    elif kind == 'tiny':  # a variance of 1e-12, which half precision does not have
        x *= 1e-6
    elif kind == 'far':  # steps of half precision are as large as the deviation, or larger
        x = x * 8 + 20000
    return x.contiguous(memory_format=LAYOUTS[4]) if layout == 'last' else x


@pytest.mark.parametrize('mode', ['batch', 'running', 'domains'])
@pytest.mark.parametrize('kind', ['one value', 'constant', 'tiny', 'far', 'usual'])
@pytest.mark.parametrize('layout', ['contiguous', 'last'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_rounds_only_what_goes_out(dtype, layout, kind, mode):
    """Against float64, on the same input: the result is off by its rounding and no more."""
    x = planes(kind, layout).to(dtype).requires_grad_()
    parameters = [
        torch.tensor(t).requires_grad_()
        for t in ([0.0, 0.4, 1.0], [1.0, -2.0, 0.5], [0.1, 0.2, 0.3])
    ]
    kwargs, exact_kwargs = {}, {}
    if mode == 'running':
        mean = x.detach().float().mean((0, 2, 3))[None]
        kwargs = exact_kwargs = dict(mean=mean, var=torch.full_like(mean, 2.0))
    if mode == 'domains':
        kwargs = dict(groups=RowGroups(torch.tensor([0, 1, 1, 0]), (2, 2)))
        exact_kwargs = dict(index=torch.tensor([0, 1, 1, 0]))
    y, *statistics = normalize(x, *parameters, **kwargs)
    assert y.dtype == dtype and all(s.dtype == torch.float32 for s in statistics[:2])
    tensors = x, *parameters
    exact = [t.detach().double().requires_grad_() for t in tensors]
    expected = equations(*exact, **exact_kwargs)
    # Where values are equal the result is a difference of two large numbers, in float32.
    rounding = torch.finfo(torch.float32).eps * x.detach().double().abs().amax() / 1e-5**0.5
    torch.testing.assert_close(
        y.double(),
        expected,
        rtol=2 * torch.finfo(dtype).eps,
        atol=rounding + torch.finfo(dtype).tiny,
    )
    for name, got, wanted in zip(
        ('x', 'rho', 'weight', 'bias'),
        gradients(y, tensors),
        gradients(expected, exact, rounded_to=dtype),
    ):
        scale = wanted.abs().max().item()
        torch.testing.assert_close(
            got.double(),
            wanted,
            rtol=0,
            msg=lambda m: f'{name}: {m}',
            atol=4 * torch.finfo(dtype).eps * scale + 1e-2 * scale + 1e-5,
        )


@pytest.mark.parametrize('layout', ['contiguous', 'last'])
def test_float32_is_exact_far_from_zero(layout):
    x = torch.randn(4, 3, 16, 16) + 1000
    x[0, 0] = 1000.1  # a constant plane, whose variance must not become negative or large
    x = x.contiguous(memory_format=LAYOUTS[4]) if layout == 'last' else x
    rho = torch.tensor([0.0, 0.5, 1.0])
    y = normalize(x, rho, None, None)[0]
    ones, zeros = torch.ones(3).double(), torch.zeros(3).double()
    expected = equations(x.double(), rho.double(), ones, zeros)
    far = torch.ones(4, 3).bool()
    far[0, 0] = False
    torch.testing.assert_close(y.double()[far], expected[far], rtol=0, atol=1e-3)
    # A mean that is off by 2e-3 of 1000, as torch's is in this order, times 1 / sqrt(eps).
    assert y[0, 0].abs().max() < (0.05 if layout == 'contiguous' else 1)


@pytest.mark.parametrize('mode', ['batch', 'running', 'domains'])
def test_gradients_of_gradients(mode):
    x, rho, weight, bias = inputs((3, 3, 2, 3))
    kwargs = {}
    if mode == 'running':
        kwargs['mean'], kwargs['var'] = torch.rand(2, 1, 3, dtype=torch.float64) + 0.5
    if mode == 'domains':
        kwargs['groups'] = RowGroups(torch.tensor([0, 1, 1]), (1, 2))
    rho = torch.tensor([0.2, 0.5, 0.9]).double().requires_grad_()

    def f(*tensors):
        return normalize(*tensors, **kwargs)[0]

    assert torch.autograd.gradcheck(f, (x, rho, weight, bias))
    assert torch.autograd.gradgradcheck(f, (x, rho, weight, bias))


def test_parameters_are_optional():
    x = inputs((4, 3, 5, 6))[0]
    y = normalize(x, None, None, None)[0]
    torch.testing.assert_close(y, nn.functional.batch_norm(x, None, None, training=True))
    grads = (
        gradients(y, [x]),
        gradients(equations(x, *torch.ones(2, 3).double(), torch.zeros(3).double()), [x]),
    )
    torch.testing.assert_close(*grads)


def test_no_images_give_no_images_and_gradients_of_zero():
    x = torch.zeros(0, 3, 4, 4, requires_grad=True)
    parameters = [torch.ones(3, requires_grad=True) for _ in range(3)]
    y = normalize(x, *parameters)[0]
    assert y.shape == x.shape
    y.sum().backward()
    assert all(p.grad.tolist() == [0, 0, 0] for p in parameters)


def test_a_weight_that_is_computed_from_the_input_has_its_own_path():
    x, rho, weight, bias = inputs((3, 3, 2, 3))
    own = weight * x.mean((0, 2, 3))
    results = []
    for create_graph in (False, True):
        y = normalize(x, rho, own, bias)[0]
        results += torch.autograd.grad(
            y.square().sum(), x, create_graph=create_graph, retain_graph=True
        )
    torch.testing.assert_close(*results)


def test_a_compiler_sees_plain_operations():
    tensors = inputs((4, 3, 5, 6))
    compiled = torch.compile(lambda *t: normalize(*t)[0], backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), normalize(*tensors)[0])


def test_memory_is_that_of_the_output_and_the_gradient():
    """Nothing of the input's size is kept or made beside them."""
    x, grad = torch.randn(16, 8, 40, 40, requires_grad=True), torch.randn(16, 8, 40, 40)
    rho, weight, bias = (torch.rand(8, requires_grad=True) for _ in range(3))
    with torch.profiler.profile(profile_memory=True) as profile:
        y = normalize(x, rho, weight, bias)[0]
        torch.autograd.grad(y, [x, rho, weight, bias], grad)
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == '[memory]']
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    assert peak < 2.2 * x.nbytes
