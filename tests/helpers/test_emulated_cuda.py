"""The emulated device refuses what CUDA refuses, and sees every wait."""

import copy

import numpy as np
import pytest
import torch
from helpers.emulated_cuda import emulated_cuda, on_cuda
from torch import nn

WAITING = {
    'item': lambda x: x[0, 0].item(),
    'bool': lambda x: bool(x.any()),
    'tolist': lambda x: x.tolist(),
    'cpu': lambda x: x.cpu(),
    'nonzero': lambda x: x.nonzero(),
    'boolean index': lambda x: x[x > 0],
    'boolean index that is written to': lambda x: x.__setitem__(x > 0, 1),
    'index of the CPU': lambda x: x[torch.tensor([0, 1])],
    'index of a list': lambda x: x[:, [0, 1]],
    'repeat_interleave': lambda x: x.repeat_interleave(x.new_ones(2, dtype=torch.long), 0),
    'tensor': lambda x: torch.tensor([1.0], device='cuda'),
    'as_tensor': lambda x: torch.as_tensor([1.0], device=x.device),
    'new_tensor': lambda x: x.new_tensor(1.0),
    'to': lambda x: torch.ones(2).to(x.device),
    'to of another': lambda x: torch.ones(2).to(x),
    'non_blocking, not pinned': lambda x: torch.ones(2).to(x.device, non_blocking=True),
    'copy_': lambda x: x[0].copy_(torch.ones(3)),
}
LAZY = {
    'pinned': lambda x: torch.ones(2).pin_memory().to(x.device, non_blocking=True),
    'full': lambda x: x.new_full((), 2) + torch.full((), 3, device=x.device) + torch.ones_like(x),
    'index': lambda x: x[torch.arange(1, device=x.device)],
    'masked_fill': lambda x: x.masked_fill(x > 0, 1.0),
    'a number of the CPU': lambda x: x * torch.tensor(2.0),
    'to itself': lambda x: x.to('cuda').double(),
}
REFUSED = {
    'numpy': lambda x: x.numpy(),
    'two devices': lambda x: x + torch.ones(2, 3),
    'index of a tensor of the CPU': lambda x: torch.ones(2)[x.long()],
    'read before it has come': lambda x: x.to('cpu', non_blocking=True),
}


@pytest.mark.parametrize('name', WAITING)
def test_waits_are_counted(name):
    x = torch.tensor([[1.0, -1.0, 0.0], [2.0, 1.0, 1.0]])
    with emulated_cuda() as record:
        WAITING[name](on_cuda(x))
        assert sum(record.waits().values()) == 1


@pytest.mark.parametrize('name', LAZY)
def test_what_needs_no_answer_is_no_wait(name):
    with emulated_cuda() as record:
        LAZY[name](on_cuda(torch.ones(2, 3)))
        assert record.waits() == {} and record.kernels


@pytest.mark.parametrize('name', REFUSED)
def test_refuses_what_cuda_refuses(name):
    with (
        emulated_cuda(),
        pytest.raises(
            (RuntimeError, TypeError), match='same device|to numpy|on cpu|may not have come'
        ),
    ):
        REFUSED[name](on_cuda(torch.ones(2, 3)))


def test_a_network_learns_on_the_device_as_on_the_cpu():
    plain = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    x, steps = torch.randn(5, 3), []
    for model in (plain, copy.deepcopy(plain)):
        with emulated_cuda() as record:
            if model is not plain:
                on_cuda(model)
            optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
            model(on_cuda(x) if model is not plain else x).logsumexp(1).sum().backward()
            optimizer.step()
            steps.append((record.waits(), record.kernels))
            trained = [p.detach().cpu() for p in model.parameters()]
        for got, wanted in zip(trained, plain.parameters()):
            assert torch.equal(got, wanted)
    assert steps[0] == ({}, 0)
    assert steps[1][0] == {} and steps[1][1] > 10


def test_indices_are_those_of_the_cpu():
    x = torch.arange(6.0).view(2, 3)
    for index in (
        [1, 0],
        (slice(None), [2, 0]),
        ([1, 0], [0, 2]),
        torch.tensor([1, 1]),
        np.array([1, 0]),
        (0, [1]),
    ):
        with emulated_cuda():
            y = on_cuda(x)
            assert torch.equal(y[index].cpu(), x[index])
            y[index] = -1.0
            wanted = x.clone()
            wanted[index] = -1.0
            assert torch.equal(y.cpu(), wanted)


def test_nothing_is_left_of_it():
    factories = torch.zeros, torch.tensor, torch.Tensor.to
    with emulated_cuda():
        pass
    assert (torch.zeros, torch.tensor, torch.Tensor.to) == factories
