"""A map, recovered from the sequences that encoders make of it."""

import pytest
import torch
from torch import nn

from mmocr_da.models.encoders import BiLSTMEncoder, as_feature_map

MAP = torch.randn(2, 6, 3, 5, generator=torch.Generator().manual_seed(0))


class RowByRow(nn.Module):
    """As MMOCR's NRTREncoder and SATRNEncoder."""


def test_a_map_stays_as_it_is():
    other = torch.randn(2, 4, 1, 2)
    assert as_feature_map(other, MAP, RowByRow()) is other


@pytest.mark.parametrize('encoder', [RowByRow(), BiLSTMEncoder(6)])
def test_every_position_is_put_back_where_it_was(encoder):
    by_column = isinstance(encoder, BiLSTMEncoder)
    order = MAP.transpose(2, 3) if by_column else MAP
    assert torch.equal(as_feature_map(order.flatten(2).transpose(1, 2), MAP, encoder), MAP)


def test_a_step_per_column_is_a_map_of_height_1():
    sequence = MAP.mean(2).transpose(1, 2)
    assert torch.equal(as_feature_map(sequence, MAP, RowByRow()), MAP.mean(2, keepdim=True))


@pytest.mark.parametrize('encoded', [torch.zeros(2, 6), torch.zeros(2, 4, 6), (MAP,), None])
def test_anything_else_is_no_map(encoded):
    """A vector per image (SAR), steps of unknown places, several outputs."""
    assert as_feature_map(encoded, MAP, RowByRow()) is None
