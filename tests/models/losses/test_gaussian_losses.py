"""KFIoU and the Wasserstein distance, against their matrix equations in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from mmocr_da.models.losses import GWDLoss, KFIoULoss
from mmocr_da.structures import rotated_iou

PRED = torch.tensor(
    [[44.0, 53, 34, 14, 0.2], [90, 20, 30, 30, 0], [53, 49, 44, 9, 1.5]], dtype=torch.float64
)
TARGET = torch.tensor(
    [[50.0, 50, 40, 12, 0.4], [80, 20, 60, 8, 0.7], [53, 49, 44, 9, -1.4]], dtype=torch.float64
)


def gaussian(box):
    x, y, w, h, angle = box
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.array([x, y]), rotation @ np.diag([w * w / 4, h * h / 4]) @ rotation.T, rotation


def kfiou(a, b, beta=1 / 9):
    (m1, s1, _), (m2, s2, rotation) = gaussian(a), gaussian(b)
    gain = s1 @ np.linalg.inv(s1 + s2)
    v1, v2, v = (4 * math.sqrt(np.linalg.det(s)) for s in (s1, s2, s1 - gain @ s1))
    offset = np.abs(rotation.T @ (m1 - m2) / b[2:4])
    smooth = np.where(offset < beta, offset**2 / 2 / beta, offset - beta / 2)
    return 1 - 3 * v / (v1 + v2 - v) + smooth.sum()


def gwd(a, b):
    (m1, s1, _), (m2, s2, _) = gaussian(a), gaussian(b)
    root = sqrtm(s1)
    squared = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * np.real(sqrtm(root @ s2 @ root)))
    return 1 - 1 / (1 + math.log(1 + squared / (b[2] * b[3])))


@pytest.mark.parametrize('loss, oracle', [(KFIoULoss, kfiou), (GWDLoss, gwd)])
def test_the_equations(loss, oracle):
    expected = [oracle(a, b) for a, b in zip(PRED.numpy(), TARGET.numpy())]
    assert loss(reduction='none')(PRED, TARGET).tolist() == pytest.approx(expected, rel=1e-5)


def test_kfiou_of_concentric_squares_by_hand():
    """Sides 2 and 4: variances 1 and 4, the filter leaves 4/5; 3.2 / (4 + 16 - 3.2)."""
    a = torch.tensor([[0.0, 0, 2, 2, 0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0, 4, 4, 0]], dtype=torch.float64)
    assert KFIoULoss()(a, b).item() == pytest.approx(1 - 3 * 3.2 / 16.8)


def test_gwd_of_shifted_squares_by_hand():
    """A shift by 3 at equal shapes of area 4: W^2 = 9/4 in units of the label."""
    a = torch.tensor([[3.0, 0, 2, 2, 0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0, 2, 2, 0]], dtype=torch.float64)
    assert GWDLoss()(a, b).item() == pytest.approx(1 - 1 / (1 + math.log(3.25)))


@pytest.mark.parametrize('loss', [KFIoULoss, GWDLoss])
def test_a_square_has_no_angle_and_a_box_no_arrow(loss):
    square = torch.tensor([[0.0, 0, 10, 10, 0.1], [0, 0, 20, 10, 0.1]], dtype=torch.float64)
    rotated = square + torch.tensor([[0.0, 0, 0, 0, 0.4], [0, 0, 0, 0, math.pi]])
    assert loss(reduction='none')(rotated, square).max() < 1e-6


def pairs(count=40, seed=0):
    """Boxes near their labels, float64."""
    g = torch.Generator().manual_seed(seed)
    low = torch.tensor([-50.0, -50, 4, 4, -math.pi / 2], dtype=torch.float64)
    width = torch.tensor([100.0, 100, 60, 20, math.pi], dtype=torch.float64)
    labels = low + width * torch.rand(count, 5, generator=g, dtype=torch.float64)
    noise = torch.rand(count, 5, generator=g, dtype=torch.float64) - 0.5
    boxes = labels + noise * torch.tensor([20.0, 20, 6, 6, 1], dtype=torch.float64)
    return boxes, labels


def moved(boxes, angle=0.9, scale=1.0):
    """Rotated around the origin, scaled and shifted."""
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    centre = scale * boxes[:, :2] @ rotation.T + torch.tensor([7.0, -31.0], dtype=torch.float64)
    return torch.cat([centre, scale * boxes[:, 2:4], boxes[:, 4:] + angle], 1)


@pytest.mark.parametrize('loss', [KFIoULoss, GWDLoss])
@pytest.mark.parametrize('scale', [1.0, 0.2])
def test_a_similarity_of_the_image_changes_nothing(loss, scale):
    loss, (boxes, labels) = loss(reduction='none'), pairs()
    torch.testing.assert_close(
        loss(moved(boxes, scale=scale), moved(labels, scale=scale)), loss(boxes, labels)
    )


@pytest.mark.parametrize('loss', [KFIoULoss, GWDLoss])
def test_box_and_label_can_be_exchanged_if_their_units_agree(loss):
    """KFIoU compares shapes, in any units; the distance of Gaussians has those of an area."""
    loss, (boxes, labels) = loss(reduction='none'), pairs()
    if isinstance(loss, KFIoULoss):
        boxes[:, :2] = labels[:, :2]
    else:
        areas = [b[:, 2:4].prod(1, keepdim=True) for b in (boxes, labels)]
        boxes[:, 2:4] *= (areas[1] / areas[0]).sqrt()
    torch.testing.assert_close(loss(boxes, labels), loss(labels, boxes))


@pytest.mark.parametrize('loss', [KFIoULoss, GWDLoss])
def test_sides_can_be_exchanged_with_a_right_angle(loss):
    loss, (boxes, labels) = loss(reduction='none'), pairs()
    other = boxes[:, [0, 1, 3, 2, 4]] + torch.tensor([0.0, 0, 0, 0, math.pi / 2])
    torch.testing.assert_close(loss(other, labels), loss(boxes, labels))


def test_kfiou_of_a_small_box_inside_a_large_one_is_the_iou():
    """Then the filter leaves the small one: its share of the area is both."""
    for share in (0.3, 0.1, 0.02):
        label = torch.tensor([[3.0, 4, 40, 10, 0.3]], dtype=torch.float64)
        box = label * torch.tensor([1, 1, share, share, 1], dtype=torch.float64)
        kfiou = (1 - KFIoULoss()(box, label)) / 3
        iou = rotated_iou(box, label)
        # 3 s^2 / (1 + s^2 + s^4) of concentric boxes of the shares s and 1, and s^2.
        assert (kfiou / iou).item() == pytest.approx(1 / (1 + share**2 + share**4), rel=1e-4)


@pytest.mark.parametrize('side', [2, 3])
def test_kfiou_falls_with_the_iou_as_concentric_axis_parallel_boxes_grow_apart(side):
    label = torch.tensor([[0.0, 0, 40, 10, 0]], dtype=torch.float64).expand(30, 5)
    boxes = label.clone()
    boxes[:, side] *= torch.linspace(1, 8, 30, dtype=torch.float64)
    losses = KFIoULoss(reduction='none')(boxes, label)
    ious = rotated_iou(boxes, label)
    assert (losses.diff() > 0).all() and (ious.diff() < 0).all()


@pytest.mark.parametrize('loss', [KFIoULoss, GWDLoss])
def test_gradients_of_many_pairs(loss):
    boxes, labels = pairs(10)
    assert torch.autograd.gradcheck(
        lambda b: loss(reduction='none')(b, labels), boxes.requires_grad_()
    )
