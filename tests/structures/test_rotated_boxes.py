"""The box type: each method against what it does to the polygon, and inside MMDetection."""

import math

import cv2
import numpy as np
import pytest
import shapely
import torch
from helpers.boxes import (
    distance,
    is_regular,
    oracle_corners,
    oracle_overlaps,
    random_boxes,
    single,
)
from mmdet.datasets.transforms import RandomFlip, Resize
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmocr_da.structures import RotatedBoxes, corners_of, rotated_overlaps

SHAPE = (120, 200)  # height, width


@pytest.fixture
def boxes():
    return RotatedBoxes(random_boxes(40, seed=3))


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flip(boxes, direction):
    before, tensor = boxes.corners.double().numpy(), boxes.tensor
    boxes.flip_(SHAPE, direction)
    wanted = before.copy()
    if direction != 'vertical':
        wanted[..., 0] = 200 - wanted[..., 0]
    if direction != 'horizontal':
        wanted[..., 1] = 120 - wanted[..., 1]
    assert distance(boxes.corners, wanted) < 1e-3 and is_regular(boxes.tensor)
    boxes.flip_(SHAPE, direction)
    torch.testing.assert_close(boxes.tensor, tensor, atol=1e-4, rtol=0)


def test_flip_of_a_quarter_turn_stays_in_the_range_of_angles():
    boxes = RotatedBoxes(single(10, 20, 8, 4, -math.pi / 2))
    boxes.flip_(SHAPE)
    assert boxes.tensor[0].tolist() == pytest.approx([190, 20, 8, 4, -math.pi / 2])


@pytest.mark.parametrize('direction', ['up', '', None])
def test_a_direction_that_is_none(boxes, direction):
    with pytest.raises(ValueError, match='one of horizontal, vertical, diagonal, got'):
        boxes.flip_(SHAPE, direction)


def test_translate(boxes):
    before = boxes.tensor.clone()
    boxes.translate_((3, -4.5))
    torch.testing.assert_close(boxes.tensor, before + torch.tensor([3, -4.5, 0, 0, 0]))


def test_clip_leaves_them(boxes):
    before = boxes.tensor.clone()
    boxes.clip_((5, 5))
    assert torch.equal(boxes.tensor, before)


@pytest.mark.parametrize('degrees', [0, 30, 90, -135, 400])
def test_rotate(boxes, degrees):
    points = boxes.corners.double().numpy() @ [1, 1j]
    centre = 20 + 70j
    # In an image y points down, so a positive turn is clockwise.
    turned = (points - centre) * np.exp(1j * math.radians(degrees)) + centre
    boxes.rotate_((20, 70), degrees)
    assert distance(boxes.corners, np.stack([turned.real, turned.imag], -1)) < 1e-3
    assert is_regular(boxes.tensor)


def test_rotate_by_hand_and_against_mmdet():
    """A level line right of the centre comes to stand below it."""
    boxes = RotatedBoxes(single(30, 10, 8, 4, 0))
    boxes.rotate_((10, 10), 90)
    assert boxes.tensor[0].tolist() == pytest.approx([10, 30, 8, 4, -math.pi / 2], abs=1e-4)
    flat = HorizontalBoxes(torch.tensor([[26.0, 8, 34, 12]]))
    flat.rotate_((10, 10), 90)
    torch.testing.assert_close(boxes.convert_to('hbox').tensor, flat.tensor, atol=1e-4, rtol=0)


def mapped(matrix, corners):
    out = np.concatenate([corners, np.ones_like(corners[..., :1])], -1) @ np.asarray(matrix).T
    return out[..., :2] / out[..., 2:]


SIMILARITY = [
    [1.2 * math.cos(0.7), -1.2 * math.sin(0.7), 30],
    [1.2 * math.sin(0.7), 1.2 * math.cos(0.7), -12],
    [0, 0, 1],
]
PERSPECTIVE = [[1.1, 0.1, 5], [-0.05, 0.9, 8], [5e-4, 8e-4, 1]]


@pytest.mark.parametrize('kind', [np.array, torch.tensor, lambda m: np.array(m, np.float32)])
def test_project_by_a_similarity(boxes, kind):
    wanted = mapped(SIMILARITY, boxes.corners.double().numpy())
    boxes.project_(kind(SIMILARITY))
    assert distance(boxes.corners, wanted) < 5e-3 and is_regular(boxes.tensor)


def test_project_by_a_perspective(boxes):
    wanted = mapped(PERSPECTIVE, boxes.corners.double().numpy())
    boxes.project_(np.array(PERSPECTIVE))
    for found, corners in zip(boxes.corners.double().numpy(), wanted):
        hull = shapely.Polygon(corners)
        assert shapely.Polygon(found).buffer(1e-2).contains(hull)
        assert shapely.Polygon(found).area == pytest.approx(
            hull.minimum_rotated_rectangle.area, rel=1e-3
        )


def test_project_keeps_shape_and_type():
    boxes = RotatedBoxes(random_boxes(6, dtype=torch.float64).reshape(2, 3, 5))
    before = boxes.tensor.clone()
    boxes.project_(np.eye(3))
    assert boxes.tensor.dtype == torch.float64
    torch.testing.assert_close(boxes.corners.mean(2), before[..., :2], atol=1e-3, rtol=0)
    none = RotatedBoxes(torch.zeros(0, 5))
    none.project_(np.eye(3))
    assert none.tensor.shape == (0, 5)


@pytest.mark.parametrize('method', ['rescale_', 'resize_'])
def test_scaling_by_equal_factors_scales_the_polygon(boxes, method):
    before = boxes.corners.double().numpy()
    centre = before.mean(1, keepdims=True) if method == 'resize_' else 0
    getattr(boxes, method)((1.7, 1.7))
    assert distance(boxes.corners, (before - centre) * 1.7 + centre) < 1e-3


@pytest.mark.parametrize('method', ['rescale_', 'resize_'])
@pytest.mark.parametrize('factor', [(2.0, 0.5), (0.4, 1.3), (1.01, 1.0)])
def test_scaling_by_different_factors(boxes, method, factor):
    before = boxes.corners.double().numpy()
    getattr(boxes, method)(factor)
    after = boxes.tensor.double().numpy()
    scaled = before * factor
    centre = before.mean(1) if method == 'resize_' else scaled.mean(1)
    np.testing.assert_allclose(after[:, :2], centre, atol=1e-3)
    areas = shapely.area(shapely.polygons(scaled))
    np.testing.assert_allclose(after[:, 2] * after[:, 3], areas, rtol=1e-4)
    # The line along the text is mapped exactly, unless it becomes the short one.
    along = scaled[:, 1] - scaled[:, 0]
    long = np.hypot(*along.T)
    sides = np.where(long**2 >= areas, after[:, 2], after[:, 3])
    np.testing.assert_allclose(sides, long, rtol=1e-4)
    turn = after[:, 4] - np.arctan2(along[:, 1], along[:, 0])
    turn = np.where(long**2 >= areas, np.sin(turn), np.cos(turn))
    np.testing.assert_allclose(turn, 0, atol=1e-4)
    assert is_regular(boxes.tensor)


def test_scaling_an_upright_box_by_different_factors_is_exact():
    boxes = RotatedBoxes(torch.tensor([[10.0, 20, 8, 4, 0], [10, 20, 8, 4, -math.pi / 2]]))
    boxes.rescale_((3, 0.5))
    wanted = torch.tensor([[30.0, 10, 24, 2, 0], [30, 10, 12, 4, 0]])
    torch.testing.assert_close(boxes.tensor, wanted, atol=1e-5, rtol=0)


def test_is_inside(boxes):
    cases = torch.cat(
        [
            single(10, 10, 8, 4, 0),
            single(3, 10, 8, 4, 0),
            single(-4.1, 10, 8, 4, 0),
            single(100, 117, 8, 4, math.pi / 2),
            single(100, 123, 8, 4, 0),
            single(203, 50, 8, 4, math.pi / 4),
            single(206, 50, 8, 4, math.pi / 4),
        ]
    )
    cases = RotatedBoxes(cases)
    assert cases.is_inside(SHAPE).tolist() == [True, True, False, True, False, True, False]
    assert cases.is_inside(SHAPE, all_inside=True).tolist() == [True] + 6 * [False]
    assert cases.is_inside(SHAPE, allowed_border=2).all()
    assert cases.is_inside(SHAPE, True, 2).tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    corners = boxes.corners
    wanted = ((corners >= 0) & (corners < torch.tensor([200, 120]))).flatten(1).all(1)
    assert torch.equal(boxes.is_inside(SHAPE, all_inside=True), wanted)
    assert 0 < wanted.sum() < 40


def test_find_inside_points(boxes):
    points = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 100
    outlines = shapely.polygons(oracle_corners(boxes.tensor))
    wanted = shapely.contains(outlines[None], shapely.points(points.double().numpy())[:, None])
    found = boxes.find_inside_points(points)
    assert found.shape == (200, 40) and 0.02 < wanted.mean() < 0.9
    np.testing.assert_array_equal(found, wanted)
    aligned = boxes.find_inside_points(points[:40], is_aligned=True)
    np.testing.assert_array_equal(aligned, wanted[:40].diagonal())
    # The border is inside, as in MMDetection.
    assert (
        RotatedBoxes(single(10, 10, 8, 4, 0)).find_inside_points(torch.tensor([[14.0, 12]])).all()
    )
    with pytest.raises(ValueError, match=r'\(N, 5\), got \(1, 40, 5\)'):
        RotatedBoxes(boxes.tensor[None]).find_inside_points(points)


def test_horizontal_boxes_and_back(boxes):
    flat = boxes.convert_to('hbox')
    corners = oracle_corners(boxes.tensor)
    np.testing.assert_allclose(flat.tensor[:, :2], corners.min(1), atol=1e-3)
    np.testing.assert_allclose(flat.tensor[:, 2:], corners.max(1), atol=1e-3)
    back = flat.convert_to('rotated')
    assert type(flat) is HorizontalBoxes and type(back) is RotatedBoxes
    assert is_regular(back.tensor)
    torch.testing.assert_close(back.convert_to('hbox').tensor, flat.tensor, atol=1e-3, rtol=0)
    torch.testing.assert_close(back.areas, flat.areas, atol=0.1, rtol=1e-4)
    wide, tall = (
        HorizontalBoxes(torch.tensor([[2.0, 3, 10, 7], [2, 3, 6, 11]])).convert_to('rotated').tensor
    )
    assert wide.tolist() == pytest.approx([6, 5, 8, 4, 0])
    assert tall.tolist() == pytest.approx([4, 7, 8, 4, -math.pi / 2])


def test_overlaps_of_box_types(boxes):
    other = RotatedBoxes(random_boxes(30, seed=5))
    for mode in ('iou', 'iof'):
        np.testing.assert_allclose(
            RotatedBoxes.overlaps(boxes, other, mode),
            oracle_overlaps(boxes.tensor, other.tensor, mode),
            atol=1e-3,
        )
    aligned = RotatedBoxes.overlaps(boxes[:30], other, is_aligned=True)
    torch.testing.assert_close(aligned, RotatedBoxes.overlaps(boxes, other)[:30].diagonal())
    # With horizontal ones on both sides it is the overlap of MMDetection.
    flat = [b.convert_to('hbox') for b in (boxes, other)]
    torch.testing.assert_close(
        RotatedBoxes.overlaps(*flat), HorizontalBoxes.overlaps(*flat), atol=1e-3, rtol=0
    )


def test_what_it_tells_of_itself(boxes):
    assert torch.equal(boxes.centers, boxes.tensor[:, :2])
    assert torch.equal(boxes.widths, boxes.tensor[:, 2])
    assert torch.equal(boxes.heights, boxes.tensor[:, 3])
    areas = shapely.area(shapely.polygons(oracle_corners(boxes.tensor)))
    np.testing.assert_allclose(boxes.areas, areas, rtol=1e-4)
    polygons = boxes.polygons
    assert len(polygons) == 40 and polygons[0].shape == (8,)
    np.testing.assert_allclose(
        np.reshape(polygons, (-1, 4, 2)), oracle_corners(boxes.tensor), atol=1e-3
    )


def test_boxes_of_polygon_masks():
    rectangles = random_boxes(5)
    masks = [[polygon] for polygon in RotatedBoxes(rectangles).polygons]
    # An instance of two parts, and one that is empty.
    masks += [[np.array([0.0, 0, 4, 0, 4, 4, 0, 4]), np.array([16.0, 0, 20, 0, 20, 4, 16, 4])], []]
    found = RotatedBoxes.from_instance_masks(PolygonMasks(masks, *SHAPE))
    assert len(found) == 7
    assert distance(found.corners[:5], oracle_corners(rectangles)) < 5e-3
    assert distance(found.corners[5:6], [[[0, 0], [20, 0], [20, 4], [0, 4]]]) < 1e-4
    assert found.areas[6] == 0


def test_boxes_of_bitmap_masks():
    rectangles = torch.cat([single(60, 50, 70, 24, 0.4), single(100, 60, 90, 30, -1.2)])
    masks = np.zeros((5, *SHAPE), np.uint8)
    for mask, corners in zip(masks, corners_of(rectangles)):
        cv2.fillPoly(mask, [corners.round().int().numpy()], 1)
    masks[2, 10:20, 5:15] = masks[2, 10:20, 65:75] = 1  # two parts
    masks[3, 7, 9] = 1  # one pixel
    found = RotatedBoxes.from_instance_masks(BitmapMasks(masks, *SHAPE))
    assert len(found) == 5
    assert rotated_overlaps(found.tensor[:2], rectangles, is_aligned=True).min() > 0.9
    # Within a pixel, however wide those are.
    torch.testing.assert_close(
        found.convert_to('hbox').tensor[2:4],
        torch.tensor([[5.0, 10, 75, 20], [9, 7, 10, 8]]),
        atol=1,
        rtol=0,
    )
    assert found.areas[4] == 0


# --------------------------------------------------------------------------- MMDetection's own


def results(boxes):
    return dict(img=np.zeros((*SHAPE, 3), np.uint8), img_shape=SHAPE, gt_bboxes=boxes)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_the_flip_of_mmdetection(boxes, direction):
    before = boxes.corners.double().numpy()
    out = RandomFlip(prob=1.0, direction=direction)(results(boxes))
    wanted = mapped(out['homography_matrix'], before)
    assert distance(out['gt_bboxes'].corners, wanted) < 1e-3
    assert distance(out['gt_bboxes'].corners, before) > 10


def test_the_resize_of_mmdetection(boxes):
    before = boxes.corners.double().numpy()
    out = Resize(scale=(300, 180), keep_ratio=True)(results(boxes))
    assert out['img_shape'] == (180, 300)
    assert distance(out['gt_bboxes'].corners, before * 1.5) < 1e-3
    again = Resize(scale=(300, 90))(out)
    polygons = before * [1.5, 0.75]
    np.testing.assert_allclose(again['gt_bboxes'].centers, polygons.mean(1), atol=1e-3)
    np.testing.assert_allclose(
        again['gt_bboxes'].areas, shapely.area(shapely.polygons(polygons)), rtol=1e-4
    )
