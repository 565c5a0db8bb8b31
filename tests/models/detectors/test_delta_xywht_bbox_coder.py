"""The coder of rotated boxes: inverse, invariance, and RRPN's equations by hand."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from helpers import boxes as helpers_boxes
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS

from mmocr_da.models.detectors import DeltaXYWHTBBoxCoder
from mmocr_da.structures import RotatedBoxes, corners_of

MEANS, STDS = (0.1, -0.2, 0.3, 0.0, 0.05), (0.1, 0.2, 0.3, 0.4, 0.5)
random_boxes = partial(helpers_boxes.random_boxes, spread=200.0, dtype=torch.float64)
BOTH = pytest.mark.parametrize('proj_xy', [True, False])


def distance(boxes1, boxes2):
    """How far two sets of corners are apart, whatever their order."""
    gaps = torch.cdist(corners_of(boxes1), corners_of(boxes2))
    return max(gaps.min(1)[0].max().item(), gaps.min(2)[0].max().item())


def oracle_encode(box, gt, proj_xy):
    """Equations 3 and 4, one pair at a time."""
    x, y, w, h, angle = box
    dx, dy = gt[0] - x, gt[1] - y
    if proj_xy:
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        dx, dy = dx * along[0] + dy * along[1], dx * across[0] + dy * across[1]
    difference = gt[4] - angle
    while difference >= math.pi / 2:
        difference -= math.pi
    while difference < -math.pi / 2:
        difference += math.pi
    return [dx / w, dy / h, math.log(gt[2] / w), math.log(gt[3] / h), difference]


# --------------------------------------------------------------------------- laws


@BOTH
@pytest.mark.parametrize('kind', [RotatedBoxes, torch.Tensor.clone])
@pytest.mark.parametrize('stats', [{}, dict(target_means=MEANS, target_stds=STDS)])
def test_decoding_undoes_encoding(proj_xy, kind, stats):
    coder = DeltaXYWHTBBoxCoder(proj_xy=proj_xy, **stats)
    boxes, gts = random_boxes(200), random_boxes(200, seed=1)
    deltas = coder.encode(kind(boxes), kind(gts))
    assert type(deltas) is torch.Tensor and deltas.shape == (200, 5)
    found = coder.decode(kind(boxes), deltas)
    assert type(found) is RotatedBoxes and distance(found.tensor, gts) < 1e-8
    torch.testing.assert_close(found.tensor, gts)


@BOTH
def test_no_deltas_no_change(proj_xy):
    coder, boxes = DeltaXYWHTBBoxCoder(proj_xy=proj_xy), random_boxes(50)
    torch.testing.assert_close(coder.decode(boxes, torch.zeros(50, 5)).tensor, boxes)
    torch.testing.assert_close(coder.encode(boxes, boxes), torch.zeros_like(boxes))


@pytest.mark.parametrize('degrees', [10, 90, -130])
def test_turning_both_boxes_leaves_the_deltas(degrees):
    boxes, gts = RotatedBoxes(random_boxes(50)), RotatedBoxes(random_boxes(50, seed=1))
    coder = DeltaXYWHTBBoxCoder(proj_xy=True)
    before, along_image = coder.encode(boxes, gts), DeltaXYWHTBBoxCoder(proj_xy=False)
    other = along_image.encode(boxes, gts)
    wrapped = boxes.tensor[:, 4] + math.radians(degrees)
    for each in (boxes, gts):
        each.rotate_((40, 60), degrees)
    after = coder.encode(boxes, gts)
    # A box whose angle leaves the range comes back the other way round, with its sides' directions.
    sign = torch.where(torch.cos(boxes.tensor[:, 4] - wrapped) < 0, -1.0, 1.0)[:, None]
    torch.testing.assert_close(after[:, :2], sign * before[:, :2])
    torch.testing.assert_close(after[:, 2:], before[:, 2:], atol=1e-9, rtol=1e-6)
    assert (along_image.encode(boxes, gts) - other)[:, :2].abs().max() > 0.1


@BOTH
def test_shifting_and_enlarging_both_boxes_leaves_the_deltas(proj_xy):
    boxes, gts = RotatedBoxes(random_boxes(50)), RotatedBoxes(random_boxes(50, seed=1))
    coder = DeltaXYWHTBBoxCoder(proj_xy=proj_xy)
    before = coder.encode(boxes, gts)
    for each in (boxes, gts):
        each.translate_((30, -7))
        each.rescale_((1.5, 1.5))
    torch.testing.assert_close(coder.encode(boxes, gts), before)


@BOTH
def test_against_an_oracle(proj_xy):
    boxes, gts = random_boxes(100), random_boxes(100, seed=1)
    wanted = [oracle_encode(b, g, proj_xy) for b, g in zip(boxes.tolist(), gts.tolist())]
    found = DeltaXYWHTBBoxCoder(proj_xy=proj_xy).encode(boxes, gts)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    scaled = DeltaXYWHTBBoxCoder(MEANS, STDS, proj_xy).encode(boxes, gts)
    np.testing.assert_allclose(scaled, (np.array(wanted) - MEANS) / STDS, atol=1e-9)


def test_angles_on_both_sides_of_a_quarter_turn_are_close():
    near = math.pi / 2 - 0.05
    box, gt = torch.tensor([[0.0, 0, 8, 4, near]]), torch.tensor([[0.0, 0, 8, 4, -near]])
    coder = DeltaXYWHTBBoxCoder()
    assert coder.encode(box, gt)[0, 4].item() == pytest.approx(0.1, abs=1e-5)
    assert coder.encode(gt, box)[0, 4].item() == pytest.approx(-0.1, abs=1e-5)
    found = coder.decode(box, torch.tensor([[0, 0, 0, 0, 0.1]])).tensor
    torch.testing.assert_close(found, gt)
    angles = coder.encode(random_boxes(300), random_boxes(300, seed=1))[:, 4]
    assert (angles >= -math.pi / 2).all() and (angles < math.pi / 2).all() and angles.std() > 0.5


# --------------------------------------------------------------------------- by hand


@pytest.mark.parametrize('proj_xy,shift', [(True, (0.5, -1)), (False, (0.25, 2))])
def test_by_hand(proj_xy, shift):
    """A box of 40 x 10 that stands, and one 20 px below and 10 px to the right of it."""
    box = torch.tensor([[100.0, 50, 40, 10, math.pi / 2]])
    gt = torch.tensor([[110.0, 70, 80, 5, math.pi / 4]])
    deltas = DeltaXYWHTBBoxCoder(proj_xy=proj_xy).encode(box, gt)[0].tolist()
    assert deltas == pytest.approx([*shift, math.log(2), -math.log(2), -math.pi / 4], abs=1e-5)


@pytest.mark.parametrize('proj_xy,centre', [(True, (90, 70)), (False, (120, 60))])
def test_decoding_by_hand(proj_xy, centre):
    box = torch.tensor([[100.0, 50, 40, 10, math.pi / 2]])
    deltas = torch.tensor([[0.25, 0.5, math.log(0.5), math.log(3), -math.pi / 2]])
    coder = DeltaXYWHTBBoxCoder(target_stds=(2, 2, 1, 1, 1), proj_xy=proj_xy)
    found = coder.decode(box, deltas).tensor[0].tolist()
    # 20 wide and 30 high at an angle of 0: its long side stands.
    assert found == pytest.approx([*centre, 30, 20, -math.pi / 2], abs=1e-4)


def test_means_are_of_the_coded_and_stds_its_unit():
    box = torch.tensor([[0.0, 0, 10, 10, 0]])
    coder = DeltaXYWHTBBoxCoder((0.1, 0, 0, 0, 0), (0.5, 1, 1, 1, 0.1))
    found = coder.encode(box, torch.tensor([[6.0, 0, 10, 10, 0.2]]))[0].tolist()
    assert found == pytest.approx([1, 0, 0, 0, 2], abs=1e-5)
    still = coder.decode(box, torch.zeros(1, 5)).tensor[0].tolist()
    assert still == pytest.approx([1, 0, 10, 10, 0], abs=1e-5)


@pytest.mark.parametrize('clip,factor', [(16 / 1000, 62.5), (0.5, 2)])
def test_sizes_change_by_a_factor_at_most(clip, factor):
    box = torch.tensor([[0.0, 0, 20, 10, 0]])
    found = (
        DeltaXYWHTBBoxCoder()
        .decode(box, torch.tensor([[0.0, 0, 50, -50, 0]]), wh_ratio_clip=clip)
        .tensor
    )
    assert found[0].tolist() == pytest.approx([0, 0, 20 * factor, 10 / factor, 0], rel=1e-4)


def test_the_image_does_not_clip():
    coder, boxes = DeltaXYWHTBBoxCoder(), random_boxes(20)
    deltas = torch.rand(20, 5)
    assert torch.equal(
        coder.decode(boxes, deltas, max_shape=(10, 10)).tensor, coder.decode(boxes, deltas).tensor
    )


# --------------------------------------------------------------------------- classes and types


def test_each_class_is_decoded_by_itself():
    coder, boxes = DeltaXYWHTBBoxCoder(target_stds=STDS), random_boxes(30)
    deltas = torch.randn(30, 15, dtype=torch.float64)
    found = coder.decode(RotatedBoxes(boxes), deltas)
    assert type(found) is torch.Tensor and found.shape == (30, 15)
    for i in range(0, 15, 5):
        alone = coder.decode(boxes, deltas[:, i : i + 5]).tensor
        torch.testing.assert_close(found[:, i : i + 5], alone)


def test_plain_tensors():
    found = DeltaXYWHTBBoxCoder(use_box_type=False).decode(random_boxes(3), torch.zeros(3, 5))
    assert type(found) is torch.Tensor and found.shape == (3, 5)


@pytest.mark.parametrize('half', [torch.float16, torch.bfloat16])
def test_half_precision_is_decoded_in_float32(half):
    boxes = random_boxes(50, dtype=torch.float32)
    boxes[:, :2] += 1500
    deltas = (torch.randn(50, 5) * 0.1).to(half)
    found = DeltaXYWHTBBoxCoder().decode(boxes, deltas).tensor
    assert found.dtype == torch.float32
    assert torch.equal(found, DeltaXYWHTBBoxCoder().decode(boxes, deltas.float()).tensor)


def test_boxes_of_float64_are_decoded_in_float64():
    assert DeltaXYWHTBBoxCoder().decode(random_boxes(2), torch.zeros(2, 5)).dtype == torch.float64


def test_gradients():
    """Of the decoded boxes, also where sizes are clipped."""
    coder, boxes = DeltaXYWHTBBoxCoder(MEANS, STDS), random_boxes(6)
    deltas = (torch.randn(6, 5, dtype=torch.float64) * 0.2).requires_grad_()
    plain = DeltaXYWHTBBoxCoder(MEANS, STDS, use_box_type=False)
    assert torch.autograd.gradcheck(lambda d: plain.decode(boxes, d), deltas)
    wild = torch.full((6, 5), 1e3, dtype=torch.float64, requires_grad=True)
    coder.decode(boxes, wild).tensor.sum().backward()
    assert wild.grad.isfinite().all() and not wild.grad[:, 2:4].any() and wild.grad[:, 0].all()


@pytest.mark.parametrize('classes', [1, 3])
def test_no_boxes(classes):
    coder, none = DeltaXYWHTBBoxCoder(), torch.zeros(0, 5)
    assert coder.encode(none, none).shape == (0, 5)
    assert coder.decode(none, torch.zeros(0, 5 * classes)).shape == (0, 5 * classes)


def test_a_box_without_an_area_has_finite_deltas():
    flat, box = torch.tensor([[5.0, 5, 10, 0, 0.2]]), torch.tensor([[5.0, 5, 10, 4, 0.2]])
    coder = DeltaXYWHTBBoxCoder()
    assert coder.encode(flat, box)[0].tolist() == pytest.approx(
        [0, 0, 0, math.log(4000), 0], abs=1e-3
    )
    assert coder.encode(box, flat)[0].tolist() == pytest.approx(
        [0, 0, 0, -math.log(4000), 0], abs=1e-3
    )


@pytest.mark.parametrize('name', ['target_means', 'target_stds'])
def test_statistics_that_are_not_of_five(name):
    with pytest.raises(ValueError, match=rf'{name} must be 5 numbers.*got \[1, 2, 3, 4\]'):
        DeltaXYWHTBBoxCoder(**{name: [1, 2, 3, 4]})


def test_it_is_found_by_its_name():
    built = MMDET_TASK_UTILS.build(dict(type='mmocr_da.DeltaXYWHTBBoxCoder'))
    assert type(built) is DeltaXYWHTBBoxCoder and built.encode_size == 5
