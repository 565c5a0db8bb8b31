"""Rows that are normalized together: one group is the whole batch, several are each alone."""

import pytest
import torch

from mmocr_da.models.layers.row_groups import RowGroups, WholeBatch, at_least_one

PER_ROW = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
GROUP_OF_ROW = torch.tensor([1, 0, 1])


def test_one_group_is_the_whole_batch():
    whole, one = WholeBatch(), RowGroups(torch.zeros(3, dtype=torch.long), (3,))
    for name in ('sum', 'mean'):
        torch.testing.assert_close(getattr(one, name)(PER_ROW), getattr(whole, name)(PER_ROW))
    assert whole.sizes(PER_ROW) == one.sizes(PER_ROW) == 3
    per_group = whole.mean(PER_ROW)
    assert torch.equal(one.total(per_group), whole.total(per_group))
    # One row that broadcasts is as good as a row for each image.
    assert torch.equal(one.expand(per_group), whole.expand(per_group).expand(3, 2))


def test_each_group_is_reduced_alone():
    groups = RowGroups(GROUP_OF_ROW, (1, 2))
    assert groups.sum(PER_ROW).tolist() == [[2, 20], [5, 50]]
    assert groups.mean(PER_ROW).tolist() == [[2, 20], [2.5, 25]]
    assert groups.sizes(PER_ROW).tolist() == [[1], [2]]
    assert groups.expand(groups.mean(PER_ROW)).tolist() == [[2.5, 25], [2, 20], [2.5, 25]]
    assert groups.total(groups.sum(PER_ROW)).tolist() == PER_ROW.sum(0).tolist()


@pytest.mark.parametrize('empty', ['batch', 'group'])
def test_without_rows_sum_and_mean_are_zero(empty):
    if empty == 'batch':
        groups, per_row = WholeBatch(), PER_ROW[:0]
    else:
        groups, per_row = RowGroups(torch.ones(3, dtype=torch.long), (0, 3)), PER_ROW
    assert groups.sum(per_row)[0].tolist() == groups.mean(per_row)[0].tolist() == [0, 0]


def test_a_divisor_is_never_zero():
    assert at_least_one(0) == 1 and at_least_one(5) == 5
    assert at_least_one(torch.tensor([0.0, 5.0])).tolist() == [1, 5]
