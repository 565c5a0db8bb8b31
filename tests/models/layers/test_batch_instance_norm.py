"""The layer: statistics, the gate's bounds, checkpoints, synchronization."""

import copy
import itertools
import pickle

import pytest
import torch
import torch.distributed as dist
from helpers.processes import run_ranks
from mmcv.cnn import build_norm_layer
from mmcv.cnn.utils import fuse_conv_bn
from mmengine.model import ExponentialMovingAverage, convert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmocr_da.models.layers import BatchInstanceNorm1d, BatchInstanceNorm2d, BatchInstanceNorm3d

SHAPES = {(6, 3): 1, (6, 3, 7): 1, (6, 3, 4, 5): 2, (6, 3, 2, 4, 5): 3}
OURS = {1: BatchInstanceNorm1d, 2: BatchInstanceNorm2d, 3: BatchInstanceNorm3d}
TORCHS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def filled(layer):
    """The same random values in all layers that have them."""
    generator = torch.Generator().manual_seed(1)
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        value = torch.rand(layer.num_features, generator=generator) + 0.5
        getattr(layer, name).data.copy_(value)
    return layer


@pytest.mark.parametrize('type_, rank', [('BIN', 2), ('BIN1d', 1), ('BIN2d', 2), ('BIN3d', 3)])
def test_mmcv_builds_it_under_the_name_of_a_batch_norm(type_, rank):
    name, layer = build_norm_layer(dict(type=f'mmocr_da.{type_}', momentum=0.2), 5, postfix=1)
    assert name == 'bn1' and type(layer) is OURS[rank] and layer.momentum == 0.2
    assert layer.rho.tolist() == [1] * 5
    frozen = build_norm_layer(dict(type='mmocr_da.BIN', requires_grad=False), 5)[1]
    assert not any(p.requires_grad for p in frozen.parameters())


@pytest.mark.parametrize('momentum', [0.1, 1.0, None])
@pytest.mark.parametrize('shape', SHAPES)
def test_running_statistics_are_those_of_batch_norm(shape, momentum):
    rank = SHAPES[shape]
    ours, theirs = (cls(3, momentum=momentum) for cls in (OURS[rank], TORCHS[rank]))
    nn.init.constant_(ours.rho, 0.3)  # whatever the gate does
    for _ in range(3):
        x = torch.randn(shape) * 3 + 1
        ours(x), theirs(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert ours.num_batches_tracked == 3
    ours.eval()(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)


def test_evaluation_uses_running_statistics_for_the_batch_part_and_the_image_for_its_own():
    layer = filled(BatchInstanceNorm2d(3)).eval()
    nn.init.constant_(layer.rho, 0.25)
    batch = filled(nn.BatchNorm2d(3)).eval()
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    image = nn.functional.instance_norm(x, weight=batch.weight, bias=batch.bias)
    torch.testing.assert_close(layer(x), 0.25 * batch(x) + 0.75 * image)
    torch.testing.assert_close(layer(x[:1]), layer(x)[:1])  # other images do not matter


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('shape', SHAPES)
def test_a_loaded_batch_norm_computes_the_same_bits(shape, layout):
    theirs = filled(TORCHS[SHAPES[shape]](3)).eval()
    ours = OURS[SHAPES[shape]](3).eval()
    nn.init.zeros_(ours.rho)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for _ in range(20):
        x = torch.randn(shape)
        x = x.contiguous(memory_format=layout) if len(shape) == 4 else x
        assert torch.equal(ours(x), theirs(x))
    assert set(ours.state_dict()) == set(theirs.state_dict()) | {'rho'}


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_a_single_channel_too(layout):
    theirs, ours = filled(nn.BatchNorm2d(1)).eval(), BatchInstanceNorm2d(1).eval()
    ours.load_state_dict(theirs.state_dict())
    for _ in range(50):
        x = torch.randn(5, 1, 4, 6).contiguous(memory_format=layout)
        assert torch.equal(ours(x), theirs(x))


def test_a_gate_is_missing_only_where_nothing_else_is_loaded():
    plain = BatchInstanceNorm2d(3, track_running_stats=False)
    nn.init.zeros_(plain.rho)
    plain.load_state_dict(nn.BatchNorm2d(3, track_running_stats=False).state_dict())
    assert plain.rho.tolist() == [1, 1, 1]
    nn.init.zeros_(plain.rho)
    plain.load_state_dict({}, strict=False)
    assert plain.rho.tolist() == [0, 0, 0]


@pytest.mark.parametrize('shape', [(0, 3, 4, 4), (4, 3, 0, 4)])
def test_an_empty_batch_changes_no_statistics(shape):
    layer = filled(BatchInstanceNorm2d(3))
    before = copy.deepcopy(layer.state_dict())
    x = torch.zeros(shape, requires_grad=True)
    layer(x).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert x.grad.shape == shape and layer.rho.grad.tolist() == [0, 0, 0]


def test_a_compiled_layer_has_bounds_and_gradients_beyond_them():
    layer, expected = BatchInstanceNorm2d(3), BatchInstanceNorm2d(3)
    layer.rho.data.fill_(1.7)
    x = torch.randn(4, 3, 5, 5)
    found = torch.compile(layer, backend='eager')(x)
    torch.testing.assert_close(found, expected(x))
    grads = [
        torch.autograd.grad(y.square().sum() + y.sin().sum(), m.rho)[0]
        for y, m in ((found, layer), (expected(x), expected))
    ]
    torch.testing.assert_close(*grads)
    assert grads[0].abs().min() > 1e-6


def test_a_gate_is_saved_and_loaded():
    layer, other = BatchInstanceNorm2d(3), BatchInstanceNorm2d(3)
    layer.rho.data.copy_(torch.tensor([0.1, 0.5, 0.9]))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.rho, layer.rho)
    with pytest.raises(RuntimeError, match='Missing key.*weight'):
        state = layer.state_dict()
        del state['weight']
        other.load_state_dict(state)


@pytest.mark.parametrize('shape', [(6, 4, 5), (6, 2, 4, 5), (6,)])
def test_an_input_of_another_shape_is_named(shape):
    with pytest.raises(ValueError, match=r'BatchInstanceNorm2d needs \(N, 3, \*\) with 4 dim'):
        BatchInstanceNorm2d(3)(torch.zeros(shape))


def test_one_value_per_channel_is_an_error_in_training_as_in_batch_norm():
    for layer in (BatchInstanceNorm2d(3), nn.BatchNorm2d(3)):
        with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
            layer(torch.zeros(1, 3, 1, 1))
        assert layer.eval()(torch.zeros(1, 3, 1, 1)).shape == (1, 3, 1, 1)


def push(layer, direction):
    """One backward after which a step of gradient descent moves the gates by ``direction``."""
    layer.rho.grad = torch.full_like(layer.rho, -direction)


OPTIMIZERS = {
    'SGD': lambda p: torch.optim.SGD(p, lr=3.0, momentum=0.9),
    'Adam': lambda p: torch.optim.Adam(p, lr=3.0),
    'AdamW': lambda p: torch.optim.AdamW(p, lr=3.0, weight_decay=0.1),
    'Adadelta': lambda p: torch.optim.Adadelta(p, lr=1e4),
    'foreach': lambda p: torch.optim.SGD(p, lr=3.0, foreach=True),
}


@pytest.mark.parametrize('direction', [1, -1])
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_a_gate_is_within_its_bounds_after_every_step(name, direction):
    layer = BatchInstanceNorm2d(3)
    nn.init.constant_(layer.rho, 0.5)
    optimizer = OPTIMIZERS[name](layer.parameters())
    for _ in range(3):
        push(layer, direction)
        optimizer.step()
        assert layer.rho.tolist() == [max(direction, 0)] * 3  # eq. 4: clip, not any other range


def loss_of(layer):
    return (layer(torch.randn(4, 3, 5, 5)) * torch.randn(4, 3, 5, 5)).sum()


def check_bounds(seen):
    seen = torch.stack(seen)
    assert 0 <= seen.min() and seen.max() <= 1
    assert len({tuple(row.tolist()) for row in seen}) > 1


@pytest.mark.parametrize('accumulative_counts', [1, 2])
def test_bounds_hold_under_mmengines_wrapper(accumulative_counts):
    layer, seen = BatchInstanceNorm2d(3), []
    nn.init.constant_(layer.rho, 0.5)
    wrapper = OptimWrapper(
        torch.optim.SGD(layer.parameters(), lr=100.0), accumulative_counts=accumulative_counts
    )
    for _ in range(4):
        with wrapper.optim_context(layer):
            loss = loss_of(layer)
        wrapper.update_params(loss)
        seen.append(layer.rho.detach().clone())
    check_bounds(seen)


def test_bounds_hold_under_a_gradient_scaler():
    layer, seen = BatchInstanceNorm2d(3), []
    nn.init.constant_(layer.rho, 0.5)
    optimizer, scaler = torch.optim.SGD(layer.parameters(), lr=100.0), torch.amp.GradScaler('cpu')
    for _ in range(4):
        optimizer.zero_grad()
        with torch.autocast('cpu', torch.bfloat16):
            loss = loss_of(layer)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append(layer.rho.detach().clone())
    check_bounds(seen)


def test_bounds_hold_in_a_moving_average():
    layer = BatchInstanceNorm2d(3)
    average = ExponentialMovingAverage(layer, momentum=0.3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=7.0)
    for step in range(20):
        push(layer, (-1) ** step)
        optimizer.step()
        average.update_parameters(layer)
        assert 0 <= average.module.rho.min() and average.module.rho.max() <= 1
    assert 0 < average.module.rho.min() < 1


@pytest.mark.parametrize(
    'start, sign, bound', [(1.0, 1, 1), (0.0, -1, 0), (1.7, 1, 1), (-3.0, -1, 0)]
)
def test_a_gate_at_or_beyond_its_bound_gets_its_gradient_and_comes_back(start, sign, bound):
    layer = BatchInstanceNorm2d(1).double()
    layer.rho.data.fill_(start)
    x = torch.randn(4, 1, 5, 5, dtype=torch.float64)
    difference = nn.functional.batch_norm(
        x, None, None, training=True
    ) - nn.functional.instance_norm(x)
    weight = sign * difference  # a loss that descends as the gate leaves its bound
    (layer(x) * weight).sum().backward()
    assert layer.rho.item() == bound
    torch.testing.assert_close(layer.rho.grad[0], (difference * weight).sum())  # eq. 5
    torch.optim.SGD(layer.parameters(), lr=1e-3).step()
    assert 0 < layer.rho.item() < 1


def test_two_passes_in_one_iteration_add_their_gradients():
    layer = BatchInstanceNorm2d(2)
    layer.rho.data.fill_(1.5)
    source, target = torch.randn(2, 3, 2, 4, 4)
    single = []
    for x in (source, target):
        single.append(torch.autograd.grad(layer(x).square().sum(), layer.rho)[0])
    layer.rho.data.fill_(1.5)
    (layer(source).square().sum() + layer(target).square().sum()).backward()
    torch.testing.assert_close(layer.rho.grad, sum(single))


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_bounds_too(copied):
    layer = copied(nn.Sequential(BatchInstanceNorm2d(3)))
    push(layer[0], 1)
    torch.optim.SGD(layer.parameters(), lr=3.0).step()
    assert layer[0].rho.tolist() == [1, 1, 1]


def test_an_optimizer_leaves_the_gates_of_other_models_alone():
    layer, other = BatchInstanceNorm2d(3), BatchInstanceNorm2d(3)
    other.rho.data.fill_(2)
    version = other.rho._version
    push(layer, 1)
    torch.optim.SGD(layer.parameters(), lr=3.0).step()
    assert other.rho.tolist() == [2, 2, 2] and other.rho._version == version


def test_it_follows_what_freezes_the_batch_norms_of_a_model():
    model = nn.Sequential(BatchInstanceNorm2d(3)).train()
    for m in model.modules():  # as MMDetection's norm_eval
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.eval()
    x = torch.randn(4, 3, 5, 5) + 2
    torch.testing.assert_close(model(x), copy.deepcopy(model).eval()(x))
    assert model[0].running_mean.tolist() == [0, 0, 0]


def test_mmcv_does_not_fuse_it_into_a_convolution():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), BatchInstanceNorm2d(4)).eval()
    nn.init.constant_(model[1].rho, 0.5)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(fuse_conv_bn(copy.deepcopy(model))(x), model(x))


def test_it_is_a_norm_for_mmengines_weight_decay():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), BatchInstanceNorm2d(4))
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=0.1, weight_decay=0.1),
            paramwise_cfg=dict(norm_decay_mult=0),
        ),
    )
    decays = {id(p): g['weight_decay'] for g in wrapper.param_groups for p in g['params']}
    assert all(decays[id(p)] == 0 for p in model[1].parameters())
    assert decays[id(model[0].weight)] == 0.1


# ------------------------------------------------------------------------ synchronization

CONVERTERS = {
    'torch': nn.SyncBatchNorm.convert_sync_batchnorm,
    'mmengine': convert_sync_batchnorm,
    'mmcv': lambda module: convert_sync_batchnorm(module, 'mmcv'),
}
# Ranks may hold different numbers of images, or none.
SHARES = dict(uneven=([0, 1, 2, 3, 4], [5]), empty=([0, 1, 2, 3, 4, 5], []))


def model_and_batch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 1), BatchInstanceNorm2d(3)).double()
    model[1].rho.data.copy_(torch.tensor([0.0, 0.4, 1.0]))
    nn.init.normal_(model[1].weight)
    x, grad = torch.randn(2, 6, 2, 4, 4, dtype=torch.float64)[:, :, :2]
    return (
        model,
        x * torch.arange(1.0, 7.0).view(-1, 1, 1, 1).double(),
        torch.randn(6, 3, 4, 4, dtype=torch.float64),
    )


def results(model, x, grad):
    y = model(x)
    y.backward(grad)
    return y.detach(), [p.grad for p in model.parameters()], list(model.buffers())


def results_of_rank(rank):
    out = {}
    for shares, (name, convert) in itertools.product(SHARES, CONVERTERS.items()):
        model, x, grad = model_and_batch()
        keys = list(model.state_dict())
        model = convert(model)
        assert list(model.state_dict()) == keys and type(model[1]) is BatchInstanceNorm2d
        rows = SHARES[shares][rank]
        y, grads, buffers = results(model, x[rows], grad[rows])
        for g in grads:
            dist.all_reduce(g)
        ys = [None, None]
        dist.all_gather_object(ys, y)
        out[shares, name] = torch.cat(ys), grads, buffers
    return out


def test_two_synchronized_ranks_are_one_device():
    found = run_ranks(results_of_rank)[0]
    expected = results(*model_and_batch())
    rows = SHARES['uneven'][0]
    alone = results(model_and_batch()[0], *(t[rows] for t in model_and_batch()[1:]))
    assert not torch.allclose(alone[0], expected[0][:5])
    assert set(found) == set(itertools.product(SHARES, CONVERTERS))
    for result in found.values():
        torch.testing.assert_close(result, expected)


def test_a_synchronized_layer_alone_is_a_plain_one():
    model, x, grad = model_and_batch()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model_and_batch()[0])
    torch.testing.assert_close(results(converted, x, grad), results(model, x, grad))
