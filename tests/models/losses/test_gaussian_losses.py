"""KFIoU and the Wasserstein distance, against their matrix equations in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from mmocr_da.models.losses import GWDLoss, KFIoULoss

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
