import pytest
import torch
from mmengine.structures import BaseDataElement

from mmocr_da.models.objectives import DetectionFeatures


def features(img_shapes, size, **levels):
    samples = [
        BaseDataElement(metainfo={} if shape is None else dict(img_shape=shape))
        for shape in img_shapes
    ]
    return DetectionFeatures(levels, torch.zeros(len(samples), 3, *size), samples)


def test_a_position_is_valid_if_its_first_pixel_is_of_the_image():
    """Every stride and size, one by one."""
    for stride in (4, 8):
        for height in range(1, 17):
            domain = features([(height, 16), (16, height)], (16, 16))
            valid = domain.valid_positions(torch.zeros(2, 1, 16 // stride, 16 // stride))
            expected = [y * stride < height for y in range(16 // stride)]
            assert valid[0].all(1).tolist() == valid[0].any(1).tolist() == expected
            assert torch.equal(valid[1], valid[0].T)


def test_without_a_shape_the_whole_image_counts_and_a_position_always_does():
    domain = features([None, (1, 1)], (32, 32))
    valid = domain.valid_positions(torch.zeros(2, 1, 2, 2))
    assert valid[0].all() and valid[1].tolist() == [[True, False], [False, False]]
    assert features([], (8, 8)).valid_positions(torch.zeros(0, 1, 2, 2)).shape == (0, 2, 2)


def test_levels_are_chosen_by_part_and_number():
    maps = [torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 1, 1)]
    domain = features([None], (8, 8), neck=maps)
    assert domain.level('neck', 1) is maps[1]
    for part, index in (('neck', 2), ('backbone', 0)):
        with pytest.raises(ValueError, match=f'feature maps of the {part}, got {index}'):
            domain.level(part, index)
