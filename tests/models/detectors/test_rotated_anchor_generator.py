"""Anchors of RRPN: counts, places on the grid, sizes and angles by hand, against MMDetection's."""

import math

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS

from mmocr_da.models.detectors import RotatedAnchorGenerator
from mmocr_da.structures import RotatedBoxes, corners_of, rotated_overlaps

RRPN = dict(strides=[16], ratios=[0.5, 0.2, 0.125], scales=[8, 16, 32])


def anchors_of(sizes, **kwargs):
    generator = RotatedAnchorGenerator(**{**RRPN, **kwargs})
    return generator, generator.grid_priors(sizes, device='cpu')


def test_54_anchors_at_each_location():
    generator, (anchors,) = anchors_of([(5, 7)])
    assert generator.num_base_priors == [54]
    assert type(anchors) is RotatedBoxes and anchors.tensor.shape == (5 * 7 * 54, 5)


def test_centres_are_on_the_grid_row_by_row():
    _, levels = anchors_of([(3, 4), (2, 2)], strides=[16, (8, 32)])
    for anchors, (rows, columns), (x, y) in zip(levels, [(3, 4), (2, 2)], [(16, 16), (8, 32)]):
        wanted = [(x * j, y * i) for i in range(rows) for j in range(columns)]
        found = anchors.tensor.reshape(rows * columns, 54, 5)
        for location, centre in zip(found, wanted):
            assert (location[:, :2] == torch.tensor(centre)).all()
            assert torch.equal(location[:, 2:], found[0, :, 2:])


def test_areas_and_ratios():
    _, (anchors,) = anchors_of([(1, 1)])
    w, h, angle = anchors.tensor[:, 2:].unbind(1)
    assert ((w > h) & (angle >= -math.pi / 2) & (angle < math.pi / 2)).all()
    found = {
        (round((w * h) ** 0.5 / 16, 3), round(h / w, 4)) for w, h in anchors.tensor[:, 2:4].tolist()
    }
    assert found == {(scale, ratio) for scale in (8, 16, 32) for ratio in (0.5, 0.2, 0.125)}


def test_by_hand():
    """A base of 10 px at a ratio of 1/4 is 20 x 5; the angle changes fastest, the scale next."""
    _, (anchors,) = anchors_of([(1, 1)], base_sizes=[10], ratios=[0.25, 1], scales=[1, 2])
    sizes = [(20, 5), (40, 10), (10, 10), (20, 20)]
    angles = [-90, -60, -30, 0, 30, 60]
    wanted = [(0, 0, *size, math.radians(angle)) for size in sizes for angle in angles]
    torch.testing.assert_close(anchors.tensor, torch.tensor(wanted))


def test_angles_come_into_the_range_and_a_tall_anchor_is_a_wide_one_that_stands():
    _, (anchors,) = anchors_of(
        [(1, 1)], base_sizes=[10], ratios=[4], scales=[1], angles=[0, 30, 90, 200]
    )
    assert torch.equal(anchors.tensor[:, 2:4], torch.tensor([[20.0, 5]] * 4))
    degrees = torch.rad2deg(anchors.tensor[:, 4]).tolist()
    assert degrees == pytest.approx([-90, -60, 0, -70], abs=1e-3)


@pytest.mark.parametrize(
    'extra',
    [
        dict(),
        dict(scale_major=False),
        dict(center_offset=0.5),
        dict(centers=[(3.0, 5.0)]),
        dict(scales=None, octave_base_scale=4, scales_per_octave=3),
        dict(base_sizes=[11]),
    ],
)
def test_at_an_angle_of_zero_they_are_those_of_mmdetection(extra):
    kwargs = dict(RRPN, **extra) if 'scales' not in extra else {**RRPN, **extra}
    _, (anchors,) = anchors_of([(3, 2)], angles=[0], **extra)
    (wanted,) = AnchorGenerator(**kwargs).grid_priors([(3, 2)], device='cpu')
    torch.testing.assert_close(anchors.convert_to('hbox').tensor, wanted, atol=1e-3, rtol=1e-5)


def test_any_line_of_text_has_an_anchor():
    """RRPN's angles are 30 degrees apart, so that 15 always suffice."""
    _, (anchors,) = anchors_of([(1, 1)])
    gaps = []
    for degrees in np.arange(-90, 90, 5.0):
        difference = anchors.tensor[:, 4] - math.radians(degrees)
        gaps.append(math.degrees(difference.sin().abs().min().asin()))
    assert max(gaps) == pytest.approx(15, abs=1e-3)


@pytest.mark.parametrize('level', [0, 1])
def test_sparse_priors_are_rows_of_the_grid(level):
    generator, levels = anchors_of([(4, 6), (3, 2)], strides=[16, (8, 32)])
    size = [(4, 6), (3, 2)][level]
    rows = torch.randperm(len(levels[level]))[:100]
    found = generator.sparse_priors(rows, size, level, device='cpu')
    assert type(found) is torch.Tensor
    assert torch.equal(found, levels[level].tensor[rows])
    for dtype in (torch.float64, torch.float16):
        other = generator.sparse_priors(rows, size, level, dtype, 'cpu')
        assert other.dtype == dtype
        torch.testing.assert_close(other.float(), found, atol=1, rtol=1e-3)


def test_plain_tensors():
    _, (anchors,) = anchors_of([(2, 3)], use_box_type=False)
    assert type(anchors) is torch.Tensor
    assert torch.equal(anchors, anchors_of([(2, 3)])[1][0].tensor)


def test_the_type_that_is_asked_for():
    generator = RotatedAnchorGenerator(**RRPN)
    for dtype in (torch.float64, torch.float16):
        assert generator.single_level_grid_priors((2, 3), 0, dtype, 'cpu').dtype == dtype


def test_valid_flags_belong_to_the_same_anchors():
    generator, (anchors,) = anchors_of([(3, 4)])
    (flags,) = generator.valid_flags([(3, 4)], (32, 48), device='cpu')
    inside = (anchors.tensor[:, 0] < 48) & (anchors.tensor[:, 1] < 32)
    assert torch.equal(flags, inside) and 0 < flags.sum() < len(flags)


def test_opposite_angles_are_mirror_images():
    """Which is what makes a flipped image as easy as the image."""
    _, (anchors,) = anchors_of([(1, 1)], scales=[8], angles=[-30, 30])
    mirrored = anchors.clone()
    mirrored.flip_((0, 0))
    torch.testing.assert_close(
        rotated_overlaps(mirrored.tensor, anchors.tensor).max(1)[0],
        torch.ones(6),
        atol=1e-3,
        rtol=0,
    )
    # 30 degrees point down on the right.
    along = corners_of(anchors.tensor[1])[1] - corners_of(anchors.tensor[1])[0]
    assert (along > 0).all()


def test_no_angles():
    with pytest.raises(ValueError, match='angles must be a list of one or more numbers'):
        RotatedAnchorGenerator(**RRPN, angles=[])


def test_it_is_found_by_its_name():
    built = MMDET_TASK_UTILS.build(dict(type='mmocr_da.RotatedAnchorGenerator', **RRPN))
    assert type(built) is RotatedAnchorGenerator
