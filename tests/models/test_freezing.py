"""A model that learns nothing for a while."""

import copy

import pytest
import torch
from torch import nn

from mmocr_da.models.freezing import evaluating, frozen


def make():
    return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3))


def same(before, after):
    return {key: torch.equal(before[key], after[key]) for key in before}


def test_neither_parameters_nor_running_statistics_learn():
    model, x = make(), torch.randn(4, 3)
    before = copy.deepcopy(model.state_dict())
    with frozen(model):
        y = model(x)
    assert not y.requires_grad and model.training
    assert all(same(before, model.state_dict()).values())
    assert torch.equal(y, copy.deepcopy(model)(x))  # in the mode it is in: statistics of the batch


def test_parts_keep_what_they_learn():
    model = make()
    before = copy.deepcopy(model.state_dict())
    with frozen(model, but=[model[2]]):
        model(torch.randn(4, 3))
    changed = {key for key, value in same(before, model.state_dict()).items() if not value}
    assert changed == {'2.running_mean', '2.running_var', '2.num_batches_tracked'}


def test_after_an_error_buffers_are_restored_and_gradients_are_back():
    model = make()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match='on purpose'), frozen(model):
        model(torch.randn(4, 3))
        raise RuntimeError('on purpose')
    assert all(same(before, model.state_dict()).values())
    assert model(torch.randn(4, 3)).requires_grad


def test_autocast_reuses_no_weight_of_before():
    """Casts that were made without a gradient would leave the weights untrained afterwards."""
    model = nn.Linear(3, 3)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with frozen(model):
            model(torch.randn(4, 3))
        model(torch.randn(4, 3)).sum().backward()
    assert model.weight.grad is not None and model.weight.grad.any()


def test_evaluation_ends_with_the_block_for_each_module():
    model = make().train()
    model[2].eval()
    with pytest.raises(KeyError), evaluating(model):
        assert not any(m.training for m in model.modules())
        raise KeyError
    assert [m.training for m in model.modules()] == [True, True, True, False]
