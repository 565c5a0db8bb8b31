"""Statistics per domain: whose images count, which are used, what is kept."""

import copy

import pytest
import torch
from torch import nn

from mmocr_da.models.layers import (
    BatchInstanceNorm2d,
    DomainBatchNorm2d,
    domains_of_images,
    keep_statistics_per_domain,
)

IS_SOURCE = [True, False, False, True, False]


def per_domain(cls=DomainBatchNorm2d):
    layer = cls(3)
    layer.keep_statistics_per_domain()
    return layer


def images():
    x = torch.randn(5, 3, 4, 6)
    x[torch.tensor(IS_SOURCE)] += 10
    return x


def parts(x):
    rows = torch.tensor(IS_SOURCE)
    return x[rows], x[~rows]


@pytest.mark.parametrize('cls', [DomainBatchNorm2d, BatchInstanceNorm2d])
def test_each_domain_is_normalized_and_counted_alone(cls):
    layer, source, target = per_domain(cls), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    for _ in range(3):
        x = images()
        with domains_of_images(layer, IS_SOURCE):
            y = layer(x)
        for part, norm, found in zip(parts(x), (source, target), parts(y)):
            torch.testing.assert_close(found, norm(part))
    torch.testing.assert_close(layer.source_mean, source.running_mean)
    torch.testing.assert_close(layer.source_var, source.running_var)
    torch.testing.assert_close(layer.running_mean, target.running_mean)
    torch.testing.assert_close(layer.running_var, target.running_var)
    x = images()
    layer.eval(), source.eval(), target.eval()
    with domains_of_images(layer, IS_SOURCE):
        for part, norm, found in zip(parts(x), (source, target), parts(layer(x))):
            torch.testing.assert_close(found, norm(part))
    # Outside the context all images are the target's.
    torch.testing.assert_close(layer(x), target(x))


def test_without_the_switch_the_domains_share_statistics():
    layer, plain = DomainBatchNorm2d(3), nn.BatchNorm2d(3)
    x = images()
    with domains_of_images(layer, IS_SOURCE):
        torch.testing.assert_close(layer(x), plain(x))
    torch.testing.assert_close(layer.running_var, plain.running_var)
    assert not any('source' in key for key in layer.state_dict())


def test_an_absent_domain_keeps_its_statistics():
    layer = per_domain()
    layer.source_mean.fill_(3)
    with domains_of_images(layer, [False] * 5):
        layer(images())
    assert layer.source_mean.tolist() == [3, 3, 3] and layer.source_var.tolist() == [1, 1, 1]
    assert layer.running_mean.abs().min() > 0


def test_a_domain_with_one_value_per_channel_is_an_error():
    layer = per_domain()
    with (
        domains_of_images(layer, [True, False, False]),
        pytest.raises(ValueError, match='more than 1 value per channel.*with 1 image'),
    ):
        layer(torch.zeros(3, 3, 1, 1))


def test_layers_forget_the_batch_when_it_is_over():
    layer = per_domain()
    with pytest.raises(RuntimeError, match='of the model'):
        with domains_of_images(layer, IS_SOURCE):
            raise RuntimeError('of the model')
    assert layer.domains is None


def test_statistics_of_the_source_start_as_those_of_the_loaded_checkpoint():
    plain, layer = nn.BatchNorm2d(3), per_domain()
    plain.running_mean.fill_(4)
    layer.load_state_dict(plain.state_dict(), strict=True)
    assert layer.source_mean.tolist() == layer.running_mean.tolist() == [4, 4, 4]
    layer.source_mean.fill_(5)
    other = per_domain()
    other.load_state_dict(layer.state_dict(), strict=True)
    assert other.source_mean.tolist() == [5, 5, 5]


def test_a_layer_without_running_statistics_is_refused():
    layer = DomainBatchNorm2d(3, track_running_stats=False)
    with pytest.raises(ValueError, match='got one with track_running_stats=False'):
        layer.keep_statistics_per_domain()


def test_a_momentum_of_none_is_refused():
    with pytest.raises(ValueError, match='need a momentum, got None'):
        DomainBatchNorm2d(3, momentum=None).keep_statistics_per_domain()


def test_a_repeated_forward_pass_is_refused():
    model = nn.Sequential(nn.BatchNorm2d(3))
    model[0].with_cp = True
    with pytest.raises(ValueError, match="got with_cp=True in '0'"):
        keep_statistics_per_domain(model)


def test_training_without_domains_is_for_both():
    layer, plain = per_domain(), nn.BatchNorm2d(3)
    x = images()
    layer(x), plain(x)
    for name in ('mean', 'var'):
        expected = getattr(plain, f'running_{name}')
        torch.testing.assert_close(getattr(layer, f'source_{name}'), expected)
        torch.testing.assert_close(getattr(layer, f'running_{name}'), expected)


def test_rows_that_are_not_the_batchs_are_refused():
    layer = per_domain()
    with domains_of_images(layer, IS_SOURCE), pytest.raises(ValueError, match='5 images, got \\(3'):
        layer(images()[:3])


def test_the_norms_of_a_model_are_switched_in_place():
    model = nn.ModuleDict(
        dict(
            a=nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)),
            b=nn.Sequential(BatchInstanceNorm2d(3)),
            c=nn.Sequential(nn.BatchNorm2d(3)),
        )
    )
    before, names = copy.deepcopy(model), list(model.state_dict())
    parameters = list(model.parameters())
    assert keep_statistics_per_domain(model, without=['c']) is model
    assert [m.per_domain for m in (model['a'][1], model['b'][0])] == [True, True]
    assert type(model['b'][0]) is BatchInstanceNorm2d and type(model['c'][0]) is nn.BatchNorm2d
    assert all(p is q for p, q in zip(parameters, model.parameters()))
    assert [k for k in model.state_dict() if 'source' not in k] == names
    x = torch.randn(2, 2, 4, 4)
    for m in (model, before):
        m.eval()
    assert torch.equal(model['a'](x), before['a'](x))
