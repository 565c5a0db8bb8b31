import torch

from mmocr_da.models.objectives import DomainFeatures


def test_padding_columns_are_marked_and_one_column_always_remains():
    features = DomainFeatures(torch.zeros(4, 2, 3, 10), None, torch.tensor([1.0, 0.55, 0.01, 2.0]))
    assert features.valid_columns().sum(1).tolist() == [10, 6, 1, 10]
    assert features.valid_columns()[1].tolist() == [True] * 6 + [False] * 4


def test_no_images_no_columns():
    features = DomainFeatures(torch.zeros(0, 2, 3, 10), None, torch.zeros(0))
    assert features.valid_columns().shape == (0, 10)
