"""The convention of rotated boxes, their corners and polygons."""

import math

import numpy as np
import pytest
import shapely
import torch
from helpers.boxes import distance, is_regular, oracle_corners, random_boxes

from mmocr_da.structures import corners_of, polygons_to_rotated, regularize


def test_regularize_keeps_the_rectangle():
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([100.0, 100.0, 50.0, 50.0, 40.0], dtype=torch.float64)
    boxes = torch.rand(500, 5, generator=generator, dtype=torch.float64) * scale
    boxes[:, 4] -= 20
    found = regularize(boxes)
    assert is_regular(found)
    assert distance(oracle_corners(boxes), oracle_corners(found)) < 1e-9
    torch.testing.assert_close(regularize(found), found)


def test_regularize_by_hand():
    quarter = math.pi / 2
    for box, wanted in [
        ((1, 2, 6, 2, 0.3), (1, 2, 6, 2, 0.3)),
        ((1, 2, 2, 6, 0.3), (1, 2, 6, 2, 0.3 - quarter)),
        ((1, 2, 2, 6, -0.3), (1, 2, 6, 2, quarter - 0.3)),
        ((1, 2, 6, 2, quarter), (1, 2, 6, 2, -quarter)),
        ((1, 2, 6, 2, -quarter), (1, 2, 6, 2, -quarter)),
        ((1, 2, 6, 2, 3 * math.pi + 0.1), (1, 2, 6, 2, 0.1)),
        ((1, 2, 4, 4, 0.1), (1, 2, 4, 4, 0.1)),
    ]:
        found = regularize(torch.tensor(box, dtype=torch.float64))
        assert found.tolist() == pytest.approx(wanted, abs=1e-9)


def test_corners_against_an_oracle_and_by_hand():
    boxes = random_boxes(50, dtype=torch.float64)
    # Here the order counts, too.
    np.testing.assert_allclose(corners_of(boxes), oracle_corners(boxes), atol=1e-9)
    # By a quarter turn clockwise, the top left of the unrotated box becomes the top right.
    turned = corners_of(torch.tensor([5.0, 5.0, 4.0, 2.0, math.pi / 2]))
    wanted = torch.tensor([[6.0, 3.0], [6.0, 7.0], [4.0, 7.0], [4.0, 3.0]])
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
