"""Statistics of batch norms on given images: AdaBN."""

import copy

import pytest
import torch
from helpers.processes import run_ranks
from torch import nn
from torch.optim.swa_utils import update_bn

from mmocr_da.models.layers import convert_batch_norm, keep_statistics_per_domain
from mmocr_da.models.layers.batch_statistics import estimate_statistics, norms_of


def network(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 3, 3),
        nn.BatchNorm2d(3),
        nn.Flatten(),
        nn.Linear(3 * 16, 5),
        nn.BatchNorm1d(5),
    )
    with torch.no_grad():
        for norm in norms_of(model).values():
            norm.weight.uniform_(0.5, 1.5)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return model.double()


def batches(count=3, size=6):
    generator = torch.Generator().manual_seed(5)
    shifts = torch.arange(count)[:, None, None, None, None]
    return [*(torch.randn(count, size, 2, 8, 8, generator=generator) * 3 + shifts).double()]


def statistics(model):
    return {k: v.clone() for k, v in model.state_dict().items() if 'running' in k or 'tracked' in k}


def without_dropout(model):
    model = copy.deepcopy(model)
    model[3].p = 0.0
    return model


def close(a, b, **kwargs):
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], msg=lambda m, key=key: f'{key}: {m}', **kwargs)


def test_one_batch_gives_the_statistics_that_training_computes():
    model, reference = network(), without_dropout(network())
    (batch,) = batches(1)
    estimate_statistics(model, model, [batch])
    update_bn([batch], reference)
    close(statistics(model), statistics(reference))


def test_means_of_several_batches_are_those_of_torch():
    """Of the first layer: what later ones see is normalized by the batch, here as there."""
    model, reference = network(), without_dropout(network())
    estimate_statistics(model, model, batches())
    update_bn(batches(), reference)
    found, wanted = statistics(model), statistics(reference)
    for key in found:
        if 'running_mean' in key or 'tracked' in key:
            torch.testing.assert_close(found[key], wanted[key])


def test_mean_and_variance_are_those_of_all_values():
    model = network()
    estimate_statistics(model, model, batches())
    values = model[0](torch.cat(batches())).transpose(0, 1).flatten(1)
    torch.testing.assert_close(model[1].running_mean, values.mean(1))
    torch.testing.assert_close(model[1].running_var, values.var(1))


def test_a_loop_over_layers_finds_the_same():
    """A slow oracle: each layer normalizes each batch by hand."""
    model = network().eval()
    seen = {1: [], 5: [], 8: []}
    for x in batches():
        for i, layer in enumerate(model):
            if i not in seen:
                x = layer(x)
                continue
            seen[i].append(x)
            dims = [0, *range(2, x.dim())]
            shape = [1, -1] + [1] * (x.dim() - 2)
            mean, var = x.mean(dims), x.var(dims, unbiased=False)
            x = (x - mean.view(shape)) / (var.view(shape) + layer.eps).sqrt()
            x = x * layer.weight.view(shape) + layer.bias.view(shape)
    estimate_statistics(model, model, batches())
    for i, parts in seen.items():
        values = torch.cat(parts).transpose(0, 1).flatten(1)
        torch.testing.assert_close(model[i].running_mean, values.mean(1))
        torch.testing.assert_close(model[i].running_var, values.var(1))


def test_the_order_of_images_in_a_batch_and_of_batches_changes_nothing():
    model, other = network(), network()
    estimate_statistics(model, model, batches())
    estimate_statistics(other, other, [batch.flip(0) for batch in reversed(batches())])
    close(statistics(model), statistics(other))


def test_images_of_the_own_domain_change_nothing_the_second_time():
    model = network()
    estimate_statistics(model, model, batches())
    before = statistics(model)
    again = estimate_statistics(model, model, batches())
    close(statistics(model), before)
    for change in again.values():
        assert change.mean == pytest.approx(0, abs=1e-6)
        assert change.deviation == pytest.approx(1, abs=1e-6)


def test_only_statistics_change_and_no_mode():
    model = network()
    model[5].eval()
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    state = torch.get_rng_state()
    estimate_statistics(model, model, batches())
    assert torch.equal(torch.get_rng_state(), state)  # dropout is off
    assert [m.training for m in model.modules()] == modes
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {
        f'{i}.{name}'
        for i in (1, 5, 8)
        for name in ('running_mean', 'running_var', 'num_batches_tracked')
    }
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_what_changed_by_hand():
    layer = nn.BatchNorm1d(2, eps=0.0)
    layer.running_mean[:] = torch.tensor([0.0, 1.0])
    layer.running_var[:] = torch.tensor([4.0, 1.0])
    model = nn.Sequential(layer)
    x = torch.tensor([[0.0, 1.0], [2.0, 1.5], [4.0, 2.0]])  # means 2, 1.5; deviations 2, 0.5
    (change,) = estimate_statistics(model, model, [x]).values()
    assert change.mean == pytest.approx((2 / 2 + 0.5 / 1) / 2)
    assert change.deviation == pytest.approx((1 * 2) ** 0.5)  # the geometric mean


def test_a_layer_that_sees_nothing_stays():
    model = network()
    before = statistics(model)
    change = estimate_statistics(model, model[:3], batches())
    assert change.keys() == {'1'}
    after = statistics(model)
    assert {k for k in after if not torch.equal(after[k], before[k])} == {
        k for k in after if k.startswith('1.')
    }


@pytest.mark.parametrize('gate', [0.0, 0.4, 1.0])
def test_batch_instance_norms_get_the_statistics_of_their_batch_part(gate):
    model, gated = network(), convert_batch_norm(network())
    for layer in norms_of(gated).values():
        layer.rho.data.fill_(gate)
    estimate_statistics(gated, gated, batches())
    estimate_statistics(model, model, batches())
    # The first sees the same; the gate changes what the later ones see.
    for key, value in statistics(model).items():
        if gate == 1 or key.startswith('1.'):
            torch.testing.assert_close(gated.state_dict()[key], value)
    x = batches()[0]
    if gate == 1:
        torch.testing.assert_close(gated.eval()(x), model.eval()(x))


def test_statistics_of_the_source_stay():
    model = network()[:3]
    keep_statistics_per_domain(model)
    layer = model[1]
    source = layer.source_mean.clone(), layer.source_var.clone()
    estimate_statistics(model, model, batches())
    assert torch.equal(layer.source_mean, source[0]) and torch.equal(layer.source_var, source[1])
    values = model[0](torch.cat(batches())).transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer.running_mean, values.mean(1))


def test_norms_without_running_statistics_are_none():
    assert norms_of(nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False))) == {}
    assert norms_of(nn.Sequential(nn.LayerNorm(2), nn.InstanceNorm1d(2))) == {}
    assert norms_of(network(), without=('5',)).keys() == {'1', '8'}


def statistics_of_rank(rank, model):
    size = len(batches()[0]) // 2
    parts = [batch[rank * size : (rank + 1) * size] for batch in batches()]
    change = estimate_statistics(model, model, parts)
    return statistics(model), {name: vars(layer) for name, layer in change.items()}


def test_two_ranks_equal_one():
    model = network()
    one = estimate_statistics(model, model, batches())
    for found, change in run_ranks(statistics_of_rank, network()):
        close(found, statistics(model))
        for name, layer in one.items():
            assert change[name] == pytest.approx(vars(layer))
