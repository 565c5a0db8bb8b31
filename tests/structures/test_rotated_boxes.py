"""Rotated boxes: laws of the convention, polygons and overlaps against shapely, each method."""
import math

import cv2
import numpy as np
import pytest
import shapely
import torch
from mmdet.datasets.transforms import RandomFlip, Resize
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmocr_da.structures import (
    RotatedBoxes,
    corners_of,
    may_overlap,
    polygons_to_rotated,
    regularize,
    rotated_overlaps,
)


def random_boxes(count, seed=0, spread=100., dtype=torch.float32):
    """In the convention; none is nearly square, which would leave the angle open."""
    rng = np.random.default_rng(seed)
    h = rng.uniform(3, 30, count)
    boxes = [rng.uniform(0, spread, count), rng.uniform(0, spread, count),
             h * rng.uniform(1.2, 8, count), h, rng.uniform(-math.pi / 2, math.pi / 2, count)]
    return torch.from_numpy(np.stack(boxes, 1)).to(dtype)


def oracle_corners(boxes):
    """Of any rectangles, in float64 and by complex numbers."""
    x, y, w, h, angle = np.asarray(boxes, np.float64).T
    corners = [(x + 1j * y) + (sx * w + sy * h * 1j) / 2 * np.exp(1j * angle)
               for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    corners = np.stack(corners, 1)
    return np.stack([corners.real, corners.imag], -1)


def distance(corners1, corners2):
    """How far two sets of corners are apart, whatever their order, ``(N, 4, 2)`` each."""
    gaps = np.linalg.norm(np.asarray(corners1, float)[:, :, None]
                          - np.asarray(corners2, float)[:, None], axis=-1)
    return max(gaps.min(1).max(), gaps.min(2).max())


def oracle_overlaps(boxes1, boxes2, mode='iou'):
    a, b = (shapely.polygons(oracle_corners(boxes)) for boxes in (boxes1, boxes2))
    both = shapely.area(shapely.intersection(a[:, None], b[None]))
    area1, area2 = shapely.area(a)[:, None], shapely.area(b)[None]
    return both / (area1 if mode == 'iof' else area1 + area2 - both)


def is_regular(boxes):
    _, _, w, h, angle = boxes.unbind(-1)
    return bool(((w >= h) & (angle >= -math.pi / 2) & (angle < math.pi / 2)).all())


def single(*box):
    return torch.tensor([box], dtype=torch.float32)


# --------------------------------------------------------------------------- the convention


def test_regularize_keeps_the_rectangle():
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([100., 100., 50., 50., 40.], dtype=torch.float64)
    boxes = torch.rand(500, 5, generator=generator, dtype=torch.float64) * scale
    boxes[:, 4] -= 20
    found = regularize(boxes)
    assert is_regular(found)
    assert distance(oracle_corners(boxes), oracle_corners(found)) < 1e-9
    torch.testing.assert_close(regularize(found), found)


def test_regularize_by_hand():
    quarter = math.pi / 2
    for box, wanted in [((1, 2, 6, 2, 0.3), (1, 2, 6, 2, 0.3)),
                        ((1, 2, 2, 6, 0.3), (1, 2, 6, 2, 0.3 - quarter)),
                        ((1, 2, 2, 6, -0.3), (1, 2, 6, 2, quarter - 0.3)),
                        ((1, 2, 6, 2, quarter), (1, 2, 6, 2, -quarter)),
                        ((1, 2, 6, 2, -quarter), (1, 2, 6, 2, -quarter)),
                        ((1, 2, 6, 2, 3 * math.pi + 0.1), (1, 2, 6, 2, 0.1)),
                        ((1, 2, 4, 4, 0.1), (1, 2, 4, 4, 0.1))]:
        found = regularize(torch.tensor(box, dtype=torch.float64))
        assert found.tolist() == pytest.approx(wanted, abs=1e-9)


def test_corners_against_an_oracle_and_by_hand():
    boxes = random_boxes(50, dtype=torch.float64)
    # Here the order counts, too.
    np.testing.assert_allclose(corners_of(boxes), oracle_corners(boxes), atol=1e-9)
    # By a quarter turn clockwise, the top left of the unrotated box becomes the top right.
    turned = corners_of(torch.tensor([5., 5., 4., 2., math.pi / 2]))
    wanted = torch.tensor([[6., 3.], [6., 7.], [4., 7.], [4., 3.]])
    torch.testing.assert_close(turned, wanted)
    assert corners_of(torch.zeros(2, 3, 5)).shape == (2, 3, 4, 2)


@pytest.mark.parametrize('offset', [0, -300, 8000])
@pytest.mark.parametrize('order', [1, -1])
def test_the_box_of_its_own_polygon_is_the_box(offset, order):
    boxes = random_boxes(300)
    boxes[:, :2] += offset
    polygons = np.roll(corners_of(boxes.double()).numpy()[:, ::order], 1, axis=1)
    found = polygons_to_rotated(list(polygons))
    assert found.dtype == torch.float32 and is_regular(found)
    # Half a last digit at 8,000 px is 2.4e-4 px.
    assert distance(oracle_corners(found), polygons) < 3e-3
    torch.testing.assert_close(found[:, :4], boxes[:, :4], atol=3e-3, rtol=0)
    turn = (found[:, 4] - boxes[:, 4]).double()
    assert torch.sin(turn).abs().max() < 2e-3  # modulo pi
    flat = polygons_to_rotated(list(polygons.reshape(-1, 8)))
    torch.testing.assert_close(flat, found, atol=0, rtol=0)


@pytest.mark.parametrize('points', [3, 50])
def test_a_polygon_of_any_number_of_points_is_inside_its_box(points):
    rng = np.random.default_rng(points)
    polygons = rng.uniform(0, 100, (40, points, 2)) * rng.uniform(0.1, 1, (40, 1, 2)) + 500
    boxes = polygons_to_rotated(list(polygons))
    corners = oracle_corners(boxes)
    for polygon, box, outline in zip(polygons, boxes, corners):
        hull = shapely.MultiPoint(polygon).convex_hull
        outline = shapely.Polygon(outline)
        assert outline.buffer(1e-2).contains(hull)
        area = (box[2] * box[3]).item()
        # Not smaller than the hull, and not larger than the smallest box with a side on the hull.
        assert hull.area <= area + 0.1
        assert area == pytest.approx(hull.minimum_rotated_rectangle.area, rel=1e-3)


def test_polygons_without_a_box():
    for few in ([1, 2, 3, 4], [], [[1, 2]]):
        with pytest.raises(ValueError, match=f'at least 3 points, got {np.size(few) // 2}'):
            polygons_to_rotated([np.array(few)])
    assert polygons_to_rotated([]).shape == (0, 5)
    line, point = polygons_to_rotated([np.array([0, 0, 3, 4, 6, 8]), np.array([2, 7] * 4)])
    assert line.tolist() == pytest.approx([3, 4, 10, 0, math.atan2(4, 3)], abs=1e-3)
    assert point[:4].tolist() == [2, 7, 0, 0]


# --------------------------------------------------------------------------- overlaps


@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('offset', [0, 20000])
def test_overlaps_against_shapely(mode, offset):
    boxes1, boxes2 = random_boxes(60), random_boxes(50, seed=1)
    for boxes in (boxes1, boxes2):
        boxes[:, :2] += offset
    wanted = oracle_overlaps(boxes1, boxes2, mode)
    assert 0.1 < (wanted > 0).mean() < 0.9 and wanted.max() > 0.5
    found = rotated_overlaps(boxes1, boxes2, mode)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    aligned = rotated_overlaps(boxes1[:50], boxes2, mode, is_aligned=True)
    assert aligned.shape == (50, )
    np.testing.assert_allclose(aligned, wanted.diagonal(), atol=1e-3)
    # Neither the order of the boxes nor a turn by 180 degrees matters.
    turned = boxes2 + torch.tensor([0, 0, 0, 0, math.pi])
    torch.testing.assert_close(rotated_overlaps(boxes1, turned, mode), found, atol=1e-3, rtol=0)
    if mode == 'iou':
        torch.testing.assert_close(rotated_overlaps(boxes2, boxes1).T, found, atol=1e-3, rtol=0)


def test_overlaps_by_hand():
    box = single(10, 10, 8, 4, 0.5)
    cos, sin = math.cos(0.5), math.sin(0.5)
    inner = single(10, 10, 4, 2, 0.5)  # 8 of 32 square pixels
    crossing = single(10, 10, 8, 4, 0.5 - math.pi / 2)  # 16 of 32 and of 48
    shifted = single(10 + 4 * cos - 2 * sin, 10 + 4 * sin + 2 * cos, 8, 4, 0.5)  # by half of both
    far = single(40, 10, 8, 4, 0.5)
    for other, iou, iof, back in [(box, 1, 1, 1), (inner, 1 / 4, 1 / 4, 1), (far, 0, 0, 0),
                                  (crossing, 1 / 3, 1 / 2, 1 / 2), (shifted, 1 / 7, 1 / 4, 1 / 4)]:
        assert rotated_overlaps(box, other).item() == pytest.approx(iou, abs=1e-4)
        assert rotated_overlaps(box, other, 'iof').item() == pytest.approx(iof, abs=1e-4)
        assert rotated_overlaps(other, box, 'iof').item() == pytest.approx(back, abs=1e-4)
    beside_and_below = torch.tensor([[18., 10, 8, 4, 0], [10, 14, 8, 4, 0]])
    assert rotated_overlaps(single(10, 10, 8, 4, 0), beside_and_below).tolist() == [[0, 0]]
    # Touching along slanted sides.
    touching = single(10 + 8 * cos, 10 + 8 * sin, 8, 4, 0.5)
    assert rotated_overlaps(box, touching).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize('along', [True, False])
def test_boxes_with_sides_on_one_line(along):
    """The same box, shifted along its own long or short side by a share of it."""
    box = random_boxes(300, spread=500, dtype=torch.float64)
    share = torch.from_numpy(np.random.default_rng(1).uniform(0, 1, 300))
    direction = box[:, 4] + (0 if along else math.pi / 2)
    shift = share * box[:, 2 if along else 3]
    other = box.clone()
    other[:, :2] += torch.stack([shift * direction.cos(), shift * direction.sin()], 1)
    found = rotated_overlaps(box, other, is_aligned=True)
    np.testing.assert_allclose(found, (1 - share) / (1 + share), atol=2e-3)


def test_identical_boxes_overlap_wholly():
    boxes = random_boxes(500)
    found = rotated_overlaps(boxes, boxes, is_aligned=True)
    np.testing.assert_allclose(found, 1, atol=1e-3)
    # The operator rounds, but no overlap is above one.
    assert found.max() <= 1


@pytest.mark.parametrize('mode', ['iou', 'iof'])
def test_a_box_without_an_area_overlaps_with_nothing(mode):
    flat = torch.tensor([[10., 10, 8, 0, 0.3], [10, 10, 0, 0, 0.3]])
    for boxes1, boxes2 in ((flat, single(10, 10, 8, 4, 0.3)), (single(10, 10, 8, 4, 0.3), flat),
                           (flat, flat)):
        found = rotated_overlaps(boxes1, boxes2, mode)
        assert found.shape == (len(boxes1), len(boxes2)) and not found.any()


@pytest.mark.parametrize('mode', ['iou', 'iof'])
def test_no_boxes_no_overlaps(mode):
    none, some = torch.zeros(0, 5), random_boxes(3)
    assert rotated_overlaps(none, some, mode).shape == (0, 3)
    assert rotated_overlaps(some, none, mode).shape == (3, 0)
    assert rotated_overlaps(none, none, mode, is_aligned=True).shape == (0, )


def test_overlaps_have_no_gradient_and_are_float32():
    boxes = random_boxes(3, dtype=torch.float64).requires_grad_()
    found = rotated_overlaps(boxes, boxes)
    assert found.dtype == torch.float32 and not found.requires_grad


@pytest.mark.parametrize('iou', [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_may_overlap_misses_nothing(iou):
    """Also among boxes that are nearly the same, far away and in any pose."""
    base = random_boxes(25, spread=300)
    rng = np.random.default_rng(1)
    jitter = rng.normal(0, [1.5, 1.5, 1, 0.5, 0.05], (8, 25, 5)) * np.arange(8)[:, None, None] / 7
    boxes = torch.cat([base, (base + torch.from_numpy(jitter)).flatten(0, 1).float()])
    boxes[:, 2:4] = boxes[:, 2:4].clamp(min=0.5)
    wanted = oracle_overlaps(boxes, boxes) >= (iou or 1e-9)
    assert wanted.sum() > len(boxes) - 1
    found = may_overlap(boxes, boxes, iou).numpy()
    assert not (wanted & ~found).any()
    # And it names little else.
    assert found.mean() < 0.25
    assert found.sum() < 3 * wanted.sum()


def test_may_overlap_says_no_to_most_random_pairs():
    boxes = random_boxes(200, spread=600)
    shares = [may_overlap(boxes, boxes, iou).float().mean().item() for iou in (0, 0.1, 0.5)]
    assert shares[0] < 0.1 and shares[1] < 0.03 and shares[2] < 0.007
    assert shares[0] > shares[1] > shares[2] >= 1 / 200


def test_each_bound_of_may_overlap_by_hand():
    flat = single(0, 0, 40, 10, 0)
    for box1, box2, iou in [
            (flat, single(30, 0, 40, 10, 0), 100 / 700),  # surrounding boxes
            (flat, single(0, 0, 20, 5, 0), 1 / 4),  # the smaller area
            # The long sides of a cross; its surrounding boxes are the same ones.
            (single(0, 0, 40, 10, math.pi / 4), single(0, 0, 40, 10, -math.pi / 4), 100 / 700),
            # The same cross, of boxes that are not in the convention: now of the short sides.
            (single(0, 0, 10, 40, math.pi / 4), single(0, 0, 10, 40, -math.pi / 4), 100 / 700),
    ]:
        assert rotated_overlaps(box1, box2).item() == pytest.approx(iou, abs=1e-4)
        for a, b in ((box1, box2), (box2, box1)):
            assert may_overlap(a, b, iou).all() and may_overlap(a, b, iou - 0.01).all()
            assert not may_overlap(a, b, iou + 0.01).any()
    assert not may_overlap(flat, single(40, 0, 40, 10, 0)).any()  # touching
    assert may_overlap(flat, single(39.9, 0, 40, 10, 0)).all()


# --------------------------------------------------------------------------- the box type


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
    flat = HorizontalBoxes(torch.tensor([[26., 8, 34, 12]]))
    flat.rotate_((10, 10), 90)
    torch.testing.assert_close(boxes.convert_to('hbox').tensor, flat.tensor, atol=1e-4, rtol=0)


def mapped(matrix, corners):
    out = np.concatenate([corners, np.ones_like(corners[..., :1])], -1) @ np.asarray(matrix).T
    return out[..., :2] / out[..., 2:]


SIMILARITY = [[1.2 * math.cos(0.7), -1.2 * math.sin(0.7), 30],
              [1.2 * math.sin(0.7), 1.2 * math.cos(0.7), -12], [0, 0, 1]]
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
            hull.minimum_rotated_rectangle.area, rel=1e-3)


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
@pytest.mark.parametrize('factor', [(2., 0.5), (0.4, 1.3), (1.01, 1.)])
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
    sides = np.where(long ** 2 >= areas, after[:, 2], after[:, 3])
    np.testing.assert_allclose(sides, long, rtol=1e-4)
    turn = after[:, 4] - np.arctan2(along[:, 1], along[:, 0])
    turn = np.where(long ** 2 >= areas, np.sin(turn), np.cos(turn))
    np.testing.assert_allclose(turn, 0, atol=1e-4)
    assert is_regular(boxes.tensor)


def test_scaling_an_upright_box_by_different_factors_is_exact():
    boxes = RotatedBoxes(torch.tensor([[10., 20, 8, 4, 0], [10, 20, 8, 4, -math.pi / 2]]))
    boxes.rescale_((3, 0.5))
    wanted = torch.tensor([[30., 10, 24, 2, 0], [30, 10, 12, 4, 0]])
    torch.testing.assert_close(boxes.tensor, wanted, atol=1e-5, rtol=0)


def test_is_inside(boxes):
    cases = torch.cat([single(10, 10, 8, 4, 0), single(3, 10, 8, 4, 0), single(-4.1, 10, 8, 4, 0),
                       single(100, 117, 8, 4, math.pi / 2), single(100, 123, 8, 4, 0),
                       single(203, 50, 8, 4, math.pi / 4), single(206, 50, 8, 4, math.pi / 4)])
    cases = RotatedBoxes(cases)
    assert cases.is_inside(SHAPE).tolist() == [True, True, False, True, False, True, False]
    assert cases.is_inside(SHAPE, all_inside=True).tolist() == [True] + 6 * [False]
    assert cases.is_inside(SHAPE, allowed_border=2).all()
    assert cases.is_inside(SHAPE, True, 2).tolist() == [
        True, True, False, True, False, False, False]
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
    assert RotatedBoxes(single(10, 10, 8, 4, 0)).find_inside_points(torch.tensor([[14., 12]])).all()
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
    wide, tall = HorizontalBoxes(torch.tensor([[2., 3, 10, 7], [2, 3, 6, 11]])).convert_to(
        'rotated').tensor
    assert wide.tolist() == pytest.approx([6, 5, 8, 4, 0])
    assert tall.tolist() == pytest.approx([4, 7, 8, 4, -math.pi / 2])


def test_overlaps_of_box_types(boxes):
    other = RotatedBoxes(random_boxes(30, seed=5))
    for mode in ('iou', 'iof'):
        np.testing.assert_allclose(RotatedBoxes.overlaps(boxes, other, mode),
                                   oracle_overlaps(boxes.tensor, other.tensor, mode), atol=1e-3)
    aligned = RotatedBoxes.overlaps(boxes[:30], other, is_aligned=True)
    torch.testing.assert_close(aligned, RotatedBoxes.overlaps(boxes, other)[:30].diagonal())
    # With horizontal ones on both sides it is the overlap of MMDetection.
    flat = [b.convert_to('hbox') for b in (boxes, other)]
    torch.testing.assert_close(RotatedBoxes.overlaps(*flat), HorizontalBoxes.overlaps(*flat),
                               atol=1e-3, rtol=0)


def test_what_it_tells_of_itself(boxes):
    assert torch.equal(boxes.centers, boxes.tensor[:, :2])
    assert torch.equal(boxes.widths, boxes.tensor[:, 2])
    assert torch.equal(boxes.heights, boxes.tensor[:, 3])
    areas = shapely.area(shapely.polygons(oracle_corners(boxes.tensor)))
    np.testing.assert_allclose(boxes.areas, areas, rtol=1e-4)
    polygons = boxes.polygons
    assert len(polygons) == 40 and polygons[0].shape == (8, )
    np.testing.assert_allclose(np.reshape(polygons, (-1, 4, 2)), oracle_corners(boxes.tensor),
                               atol=1e-3)


def test_boxes_of_polygon_masks():
    rectangles = random_boxes(5)
    masks = [[polygon] for polygon in RotatedBoxes(rectangles).polygons]
    # An instance of two parts, and one that is empty.
    masks += [[np.array([0., 0, 4, 0, 4, 4, 0, 4]), np.array([16., 0, 20, 0, 20, 4, 16, 4])], []]
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
    torch.testing.assert_close(found.convert_to('hbox').tensor[2:4],
                               torch.tensor([[5., 10, 75, 20], [9, 7, 10, 8]]), atol=1, rtol=0)
    assert found.areas[4] == 0


# --------------------------------------------------------------------------- MMDetection's own


def results(boxes):
    return dict(img=np.zeros((*SHAPE, 3), np.uint8), img_shape=SHAPE, gt_bboxes=boxes)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_the_flip_of_mmdetection(boxes, direction):
    before = boxes.corners.double().numpy()
    out = RandomFlip(prob=1., direction=direction)(results(boxes))
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
    np.testing.assert_allclose(again['gt_bboxes'].areas,
                               shapely.area(shapely.polygons(polygons)), rtol=1e-4)
