"""The exact rotated IoU: laws, polygons of Shapely, gradients."""

import math

import numpy as np
import pytest
import torch
from shapely.geometry import Polygon

from mmocr_da.models.losses import RotatedIoULoss
from mmocr_da.structures import corners_of, rotated_iou


def boxes(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    scale = torch.tensor([300.0, 300, 100, 30, math.pi], dtype=torch.float64)
    low = torch.tensor([0.0, 0, 5, 5, -math.pi / 2], dtype=torch.float64)
    return torch.rand(count, 5, generator=g, dtype=torch.float64) * scale + low


def near(labels, seed=1):
    """Variants of boxes, from equal to far apart."""
    g = torch.Generator().manual_seed(seed)
    much = 10 ** (-8 * torch.rand(len(labels), 1, generator=g, dtype=torch.float64))
    noise = torch.randn(labels.shape, generator=g, dtype=torch.float64)
    out = labels + noise * much * torch.tensor([30.0, 20, 20, 10, 0.5], dtype=torch.float64)
    return torch.cat([out[:, :2], out[:, 2:4].abs(), out[:, 4:]], 1)


def polygon_iou(a, b):
    out = []
    for p, q in zip(corners_of(a).numpy(), corners_of(b).numpy()):
        p, q = Polygon(p), Polygon(q)
        inside = p.intersection(q).area
        out.append(inside / (p.area + q.area - inside))
    return torch.tensor(out, dtype=torch.float64)


def test_it_is_that_of_the_polygons():
    b = boxes(400)
    a = torch.cat([near(b[:200]), b[200:].flip(0)])
    torch.testing.assert_close(rotated_iou(a, b), polygon_iou(a, b), atol=1e-7, rtol=0)


def test_the_order_of_the_boxes_does_not_matter():
    b = boxes(100)
    a = near(b)
    torch.testing.assert_close(rotated_iou(a, b), rotated_iou(b, a), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    'other',
    [
        lambda b: b,
        lambda b: torch.stack([b[:, 0], b[:, 1], b[:, 3], b[:, 2], b[:, 4] + math.pi / 2], 1),
        lambda b: torch.cat([b[:, :4], b[:, 4:] + math.pi], 1),
    ],
)
def test_equal_rectangles_have_1(other):
    b = boxes(50)
    torch.testing.assert_close(rotated_iou(other(b), b), torch.ones(50, dtype=torch.float64))


def test_a_similarity_changes_nothing():
    b = boxes(50)
    a = near(b)
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)

    def moved(x):
        angle = x[:, 4:] + math.atan2(0.8, 0.6)
        return torch.cat([3 * x[:, :2] @ rotation.T + 7, 3 * x[:, 2:4], angle], 1)

    torch.testing.assert_close(rotated_iou(moved(a), moved(b)), rotated_iou(a, b))


@pytest.mark.parametrize(
    'a, b, iou',
    [
        ([0, 0, 2, 2, 0], [1, 0, 2, 2, 0], 1 / 3),
        ([0, 0, 2, 2, 0], [2, 0, 2, 2, 0], 0),  # touching at an edge
        ([0, 0, 2, 2, 0], [2, 2, 2, 2, 0], 0),  # touching at a corner
        ([0, 0, 4, 4, 0], [0, 0, 2, 2, 0], 1 / 4),  # nested
        ([0, 0, 4, 4, 0], [-1, 0, 2, 4, 0], 1 / 2),  # nested, with three edges in common
        (
            [0, 0, 2, 2, 0],
            [0, 0, 2, 2, math.pi / 4],
            (8 * math.sqrt(2) - 8) / (16 - 8 * math.sqrt(2)),
        ),  # an octagon
        ([0, 0, 8, 2, 0], [0, 0, 8, 2, math.pi / 2], 4 / 28),  # a cross
        ([0, 0, 0, 2, 0], [0, 0, 2, 2, 0], 0),  # a line
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 0),  # two points
        ([9, 9, 2, 2, 0], [0, 0, 2, 2, 1], 0),  # apart
    ],
)
def test_numbers_by_hand(a, b, iou):
    a, b = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
    for x, y in ((a, b), (b, a)):
        assert rotated_iou(x, y).item() == pytest.approx(iou, abs=1e-7)


def test_its_gradient_is_that_of_finite_differences():
    b = boxes(60, seed=5)
    a = near(b, seed=6)
    iou = rotated_iou(a, b)
    some = ((iou > 0.02) & (iou < 0.98)).nonzero()[:12, 0]
    assert len(some) == 12
    assert torch.autograd.gradcheck(
        rotated_iou, (a[some].requires_grad_(), b[some].clone().requires_grad_())
    )


def test_its_gradient_by_hand():
    """Two squares side by side: ``(2 - x) * 2 / (8 - (2 - x) * 2)``."""
    a = torch.tensor([[1.0, 0, 2, 2, 0]], dtype=torch.float64, requires_grad=True)
    rotated_iou(a, torch.tensor([[0.0, 0, 2, 2, 0]], dtype=torch.float64)).sum().backward()
    assert a.grad[0, 0].item() == pytest.approx(-2 * 8 / 36)
    # Its right half is outside: to widen it only adds to the union; its left one meets more.
    assert a.grad[0, 2].item() == pytest.approx((1 * 6 - 2 * 1) / 36)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_small_boxes_in_large_images_in_single_precision(dtype):
    b = torch.tensor([[4000.0, 3000, 12, 4, 0.3]])
    a = b + torch.tensor([[2.0, 0, 0, 0, 0]])
    expected = polygon_iou(a.double(), b.double())
    found = rotated_iou(a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=0)
    assert RotatedIoULoss()(a.to(dtype), b.to(dtype)).isfinite()


def test_descending_it_moves_a_box_onto_its_label():
    label = torch.tensor([[50.0, 50, 40, 12, 0.4]])
    box = torch.tensor([[44.0, 53, 34, 14, 0.2]], requires_grad=True)
    optimizer = torch.optim.Adam([box], 0.05)
    loss = RotatedIoULoss()
    start = loss(box, label).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss(box, label).backward()
        optimizer.step()
    assert start > 0.3 and loss(box, label).item() < 0.05
    assert np.isfinite(box.detach().numpy()).all()
