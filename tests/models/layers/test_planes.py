"""The kernels for CUDA, on an emulated device: as those for a CPU, and few."""

import copy

import pytest
import torch
from helpers.emulated_cuda import emulated_cuda, on_cuda

from mmocr_da.models.layers import (
    BatchInstanceNorm1d,
    BatchInstanceNorm2d,
    BatchInstanceNorm3d,
    DomainBatchNorm1d,
    DomainBatchNorm2d,
    DomainBatchNorm3d,
    domains_of_images,
    normalize,
)
from mmocr_da.models.layers.planes import (
    ContiguousPlanes,
    PlanesByImage,
    ReducedPlanes,
    planes_of,
)

BIN = {
    2: BatchInstanceNorm1d,
    3: BatchInstanceNorm1d,
    4: BatchInstanceNorm2d,
    5: BatchInstanceNorm3d,
}
PLAIN = {2: DomainBatchNorm1d, 3: DomainBatchNorm1d, 4: DomainBatchNorm2d, 5: DomainBatchNorm3d}
SHAPE = (4, 3, 5, 6)
MODES = [(gated, mode) for gated in (True, False) for mode in ('batch', 'evaluation', 'domains')]
CASES = [(SHAPE, torch.float32, True, *mode) for mode in MODES]
CASES += [
    (shape, dtype, last, True, 'domains')
    for shape, dtype, last in (
        (SHAPE, torch.half, True),
        (SHAPE, torch.bfloat16, True),
        ((5, 3, 7), torch.float32, True),
        ((4, 1, 5, 6), torch.float32, False),
        ((3, 3, 2, 4, 5), torch.half, True),
    )
]
CASES += [
    (shape, dtype, last, True, 'batch')
    for shape, dtype, last in (
        (SHAPE, torch.float32, False),
        (SHAPE, torch.half, False),
        ((6, 3), torch.half, False),
        ((5, 3, 7), torch.bfloat16, True),
        ((3, 3, 2, 4, 5), torch.float32, True),
    )
]
CASES += [(SHAPE, torch.half, True, True, 'evaluation'), (SHAPE, torch.half, True, False, 'batch')]
IS_SOURCE = [True, False, False, True, False, False]


def inputs(shape, last, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * 2 + 5
    if last and len(shape) > 2:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    return x.to(dtype)


def layer_of(shape, gated, mode):
    layer = (BIN if gated else PLAIN)[len(shape)](shape[1])
    if gated:
        layer.rho.data.copy_(torch.linspace(0.0, 1.0, shape[1]))
    layer.weight.data.uniform_(0.5, 2)
    layer.bias.data.uniform_(-1, 1)
    layer.running_var.uniform_(0.5, 2)
    if mode == 'domains':
        layer.keep_statistics_per_domain()
    return layer.train(mode != 'evaluation')


def results(layer, x, mode):
    """Outputs of a layer that is used at two places, all gradients and all statistics."""
    x.requires_grad_()
    with domains_of_images(layer, IS_SOURCE[: len(x)], x.device):
        y = layer(layer(x) * 2)
    grad = torch.linspace(-1, 1, y.numel()).to(y.dtype).view(y.shape).to(y.device)
    tensors = [x, *layer.parameters()]
    first = torch.autograd.grad(y, tensors, grad, retain_graph=True)
    found = [y, *first]
    if y.dtype == torch.float32:
        again = torch.autograd.grad(y, tensors, grad, create_graph=True)
        found += [*again, *torch.autograd.grad(again[0].square().sum(), tensors, allow_unused=True)]
    found += layer.buffers()
    return [t if t is None else t.detach().cpu() for t in found]


@pytest.mark.parametrize('shape, dtype, last, gated, mode', CASES)
def test_cuda_computes_what_a_cpu_does(shape, dtype, last, gated, mode):
    """Forward, backward, gradients of gradients, running statistics; no host waits."""
    layer = layer_of(shape, gated, mode)
    expected = results(copy.deepcopy(layer), inputs(shape, last, dtype), mode)
    with emulated_cuda() as record:
        x = on_cuda(inputs(shape, last, dtype))
        found = results(on_cuda(layer), x, mode)
        assert record.waits('mmocr_da') == {}
    tolerance = 2e-5 if dtype == torch.float32 else 8 * torch.finfo(dtype).eps
    for got, wanted in zip(found, expected):
        if wanted is None:
            assert got is None
            continue
        assert got.dtype == wanted.dtype and got.stride() == wanted.stride()
        atol = tolerance * max(1.0, wanted.float().abs().max().item())
        torch.testing.assert_close(got.float(), wanted.float(), rtol=tolerance, atol=atol)


@pytest.mark.parametrize('last', [True, False])
def test_sums_of_half_precision_are_those_of_float32(last):
    """Of a scaled loss, products are beyond what float16 has."""
    x = (inputs(SHAPE, last) * 50).half()
    grad = (inputs(SHAPE, last) * 1000).half()
    gates = torch.tensor([0.2, 0.5, 0.8])
    exact, rho = x.double(), gates.double().requires_grad_()
    (wanted,) = torch.autograd.grad(normalize(exact, rho, None, None)[0], rho, grad.double())
    with emulated_cuda():
        rho = on_cuda(gates.clone().requires_grad_())
        (found,) = torch.autograd.grad(
            normalize(on_cuda(x), rho, None, None)[0], rho, on_cuda(grad)
        )
        torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-4, atol=1e-2)


def test_the_kernels_by_device_and_order():
    plain, last = inputs((4, 3, 5, 6), False), inputs((4, 3, 5, 6), True)
    assert type(planes_of(plain)) is ContiguousPlanes and type(planes_of(last)) is PlanesByImage
    with emulated_cuda():
        assert type(planes_of(on_cuda(plain))) is ContiguousPlanes
        assert type(planes_of(on_cuda(last))) is ReducedPlanes


def launches(layer, images, last, dtype):
    layer = copy.deepcopy(layer)
    with emulated_cuda() as record:
        x = on_cuda(inputs((images, *SHAPE[1:]), last, dtype))
        on_cuda(layer), record.clear()
        with domains_of_images(layer, [i % 2 == 0 for i in range(images)], x.device):
            y = layer(x.requires_grad_())
        forward = record.kernels
        y.backward(torch.ones_like(y))
        return forward, record.kernels - forward


@pytest.mark.parametrize('gated, mode', MODES)
@pytest.mark.parametrize(
    'last, dtype', [(True, torch.float32), (True, torch.half), (False, torch.half)]
)
def test_launches_do_not_grow_with_the_batch(last, dtype, gated, mode):
    layer = layer_of(SHAPE, gated, mode)
    few, many = (launches(layer, images, last, dtype) for images in (4, 32))
    assert few == many
    at_most = (48, 45) if mode == 'domains' else (25, 35)
    assert few[0] <= at_most[0] and few[1] <= at_most[1]
