"""Sums and means over ranks, on two ranks that are played one after the other."""

import pytest
import torch

from mmocr_da.models import distributed
from mmocr_da.models.distributed import mean_of_rank, mean_over_ranks, sum_per_rank


@pytest.fixture
def two_ranks(monkeypatch):
    """Call a function with the values of each rank, as if the other one called it at once."""

    def play(function, *per_rank):
        counts = [sum_per_rank(counted.float()) for _, counted in per_rank]
        monkeypatch.setattr(distributed, 'get_world_size', lambda: 2)
        results = []
        for (values, counted), other in zip(per_rank, reversed(counts)):
            monkeypatch.setattr(distributed, 'all_reduce', lambda total, n=other: total.add_(n))
            results.append(function(values, counted))
        return results

    return play


def test_without_ranks_the_sum_is_the_sum():
    assert sum_per_rank(torch.tensor([1.0, 2.0])) == 3


@pytest.mark.parametrize('share', [0, 1, 3, 5])
def test_the_average_of_all_ranks_is_the_mean_of_all_values(two_ranks, share):
    """Also where a rank has no value: DDP averages over ranks, not over values."""
    values = torch.tensor([1.0, 5.0, 0.0, 2.0, 4.0], requires_grad=True)
    counted = torch.tensor([True, True, False, True, True])
    shares = [(values[:share], counted[:share]), (values[share:], counted[share:])]
    average = sum(two_ranks(mean_over_ranks, *shares)) / 2
    assert average.item() == pytest.approx(3)
    average.backward()
    assert values.grad[counted].tolist() == pytest.approx([0.25] * 4)


@pytest.mark.parametrize('mean', [mean_over_ranks, mean_of_rank])
def test_without_a_value_the_mean_is_a_connected_zero(mean):
    for values, counted in ((torch.zeros(0), None), (torch.zeros(2), torch.zeros(2).bool())):
        values.requires_grad_()
        result = mean(values, counted)
        result.backward()
        assert result == 0 and values.grad.isfinite().all()


def test_the_mean_of_a_rank_does_not_wait_for_others(monkeypatch):
    monkeypatch.delattr(distributed, 'all_reduce')
    values = torch.tensor([1.0, 0.0, 3.0])
    assert mean_of_rank(values) == pytest.approx(4 / 3)
    assert mean_of_rank(values, torch.tensor([True, False, True])) == 2
