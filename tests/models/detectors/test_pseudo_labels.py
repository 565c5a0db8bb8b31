"""Regions that a detector predicts, and where they are in another view of the image."""

import numpy as np
import pytest
import torch
from helpers.detectors import BOXES, instances
from mmdet.structures.bbox import HorizontalBoxes, get_box_tensor
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmocr.registry import TRANSFORMS
from shapely.geometry import Polygon, box

from mmocr_da.models.detectors.pseudo_labels import move_regions
from mmocr_da.structures import RotatedBoxes, corners_of

FLIPS = [
    dict(type='mmdet.RandomFlip', prob=1.0, direction=direction)
    for direction in ('horizontal', 'vertical', 'diagonal')
]
STEPS = [
    *FLIPS,
    dict(type='mmdet.Resize', scale=(96, 96)),
    dict(type='mmdet.RandomCrop', crop_size=(50, 40), allow_negative_crop=True),
    dict(type='mmdet.Rotate', min_mag=15.0, max_mag=15.0),
    dict(type='mmdet.ShearX', min_mag=10.0, max_mag=10.0),
]


def moved(step, boxes, masks=None):
    """What MMDetection makes of labels in an image of 64 x 64, its record, and the new size."""
    init_default_scope('mmocr')
    np.random.seed(2)
    results = dict(
        img=np.zeros((64, 64, 3), np.uint8),
        img_shape=(64, 64),
        scale_factor=(1.0, 1.0),
        gt_bboxes=boxes,
        gt_bboxes_labels=np.zeros(len(boxes), int),
    )
    if masks is not None:
        results['gt_masks'] = masks
    results = TRANSFORMS.build(dict(step))(results)
    return results, np.asarray(results['homography_matrix'], float), results['img_shape'][:2]


def regions(boxes, **fields):
    count = len(boxes)
    return InstanceData(
        bboxes=boxes, labels=torch.zeros(count).long(), scores=torch.linspace(0, 1, count), **fields
    )


@pytest.mark.parametrize('step', STEPS, ids=lambda step: step['type'])
def test_carried_boxes_are_those_of_the_transformed_ground_truth(step):
    known = instances('MMDetWrapper')
    results, matrix, size = moved(step, HorizontalBoxes(known.bboxes.clone()), known.masks)
    masks = torch.from_numpy(known.masks.masks.astype(bool))
    found = move_regions(regions(known.bboxes, masks=masks), matrix, size)
    expected = get_box_tensor(results['gt_bboxes'])
    torch.testing.assert_close(found.bboxes, expected, rtol=1e-4, atol=1e-3)
    theirs = torch.from_numpy(results['gt_masks'].masks.astype(bool))
    assert found.masks.shape == theirs.shape
    assert (found.masks & theirs).sum() / (found.masks | theirs).sum() > 0.9


@pytest.mark.parametrize('step', STEPS[:-1], ids=lambda step: step['type'])
def test_carried_rotated_boxes_are_those_of_the_transformed_ground_truth(step):
    results, matrix, size = moved(step, RotatedBoxes(BOXES.clone()))
    found = move_regions(regions(BOXES), matrix, size)
    ours, theirs = (corners_of(x) for x in (found.bboxes, results['gt_bboxes'].tensor))
    for a, b in zip(ours.tolist(), theirs.tolist(), strict=True):
        assert Polygon(a).symmetric_difference(Polygon(b)).area < 0.02 * Polygon(b).area


def test_carried_polygons_are_mapped_and_cut_at_the_edges():
    known = instances('DBNet')
    matrix = np.array([[0.0, -1, 50], [1, 0, -20], [0, 0, 1]])  # a quarter turn, and a cut
    far = np.array([0, 70, 9, 70, 9, 79, 0, 79], np.float32)  # right of the new image
    given = InstanceData(polygons=[*known.polygons, far], scores=torch.tensor([0.5, 0.7, 0.9]))
    found = move_regions(given, matrix, (40, 45))
    assert found.scores.tolist() == pytest.approx([0.5, 0.7])
    for polygon, original in zip(found.polygons, known.polygons):
        points = original.reshape(-1, 2)
        mapped = Polygon(np.stack([50 - points[:, 1], points[:, 0] - 20], 1))
        expected = mapped.intersection(box(0, 0, 45, 40))
        ours = Polygon(polygon.reshape(-1, 2))
        assert polygon.dtype == np.float32 and len(polygon) >= 8
        assert ours.symmetric_difference(expected).area < 1e-3 * expected.area
    inside = move_regions(given, np.eye(3), (100, 100))
    for polygon, original in zip(inside.polygons, given.polygons, strict=True):
        np.testing.assert_array_equal(polygon, original)


def test_boxes_without_a_side_are_left_out():
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    found = move_regions(regions(boxes), np.array([[1.0, 0, -15], [0, 1, 0], [0, 0, 1]]), (64, 64))
    assert found.bboxes.tolist() == [[5, 0, 15, 10]] and found.scores.tolist() == [1]


def test_a_region_that_is_cut_into_parts_or_corners_keeps_all_of_it():
    u = np.array([10, 10, 20, 10, 20, 40, 40, 40, 40, 10, 50, 10, 50, 50, 10, 50], np.float32)
    corner = np.array([20, -10, 50, -10, 50, 20], np.float32).repeat(1)
    corner = np.concatenate([corner, corner[-2:]])
    given = InstanceData(polygons=[u, corner], scores=torch.tensor([0.9, 0.8]))
    found = move_regions(given, np.eye(3), (30, 45))
    assert all(p.size >= 8 for p in found.polygons)
    image = box(0, 0, 45, 30)
    for score, polygon in ((0.9, u), (0.8, corner)):
        parts = [
            Polygon(p.reshape(-1, 2))
            for p, s in zip(found.polygons, found.scores.tolist())
            if s == pytest.approx(score)
        ]
        expected = Polygon(polygon.reshape(-1, 2)).buffer(0).intersection(image)
        assert expected.area > 0
        assert sum(p.area for p in parts) == pytest.approx(expected.area)
        assert all(expected.buffer(1e-3).contains(p.buffer(0)) for p in parts)
    assert sorted(found.scores.tolist()) == pytest.approx([0.8, 0.9, 0.9])
