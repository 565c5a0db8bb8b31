"""Polygons in, boxes out: after all transforms that move polygons, without the bad labels."""

import copy
import logging

import cv2
import numpy as np
import pytest
import shapely
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmengine.registry import TRANSFORMS
from mmocr.datasets.transforms import (
    RandomCrop,
    RandomFlip,
    RandomRotate,
    Resize,
    TextDetRandomCrop,
)

import mmocr_da.datasets.check_polygons as module
from mmocr_da.datasets import PolygonsToRotatedBoxes
from mmocr_da.structures import (
    RotatedBoxes,
    corners_of,
    polygons_to_rotated,
    regularize,
)

HEIGHT, WIDTH = 260, 340
BOXES = torch.tensor(
    [
        [80.0, 60, 100, 24, 0.3],
        [230, 70, 90, 30, -0.6],
        [90, 180, 80, 20, -1.3],
        [250, 190, 110, 26, 1.2],
        [170, 130, 50, 16, 0.0],
    ]
)


def drawn():
    """An image in which each label is filled with the grey value of its class."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    polygons = corners_of(BOXES).numpy()
    greys = np.arange(1, 6) * 40
    for polygon, grey in zip(polygons, greys.tolist()):
        cv2.fillPoly(image, [np.rint(polygon).astype(int)], [grey] * 3)
    return dict(
        img=image,
        img_shape=(HEIGHT, WIDTH),
        img_path='drawn.png',
        ori_shape=(HEIGHT, WIDTH),
        gt_polygons=[polygon.ravel() for polygon in polygons],
        gt_bboxes_labels=greys,
        gt_bboxes=np.concatenate([polygons.min(1), polygons.max(1)], 1),
        gt_ignored=greys == 120,
    )


def results(polygons, **kwargs):
    """Classes count from 10."""
    return {
        **dict(
            img_shape=(100, 200),
            img_path='page.jpg',
            gt_polygons=polygons,
            gt_bboxes_labels=np.arange(10, 10 + len(polygons)),
            gt_ignored=np.zeros(len(polygons), bool),
        ),
        **kwargs,
    }


SQUARE = np.array([10.0, 10, 40, 10, 40, 30, 10, 30])


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(
        module, 'print_log', lambda line, logger, level: lines.append((logger, level, line))
    )
    return lines


# ---------------------------------------------------------------------------- after transforms


PIPELINES = {
    'nothing': [],
    'flip': [RandomFlip(1.0, 'horizontal')],
    'upside down': [RandomFlip(1.0, 'vertical')],
    'both': [RandomFlip(1.0, 'diagonal')],
    'larger': [Resize((680, 520), interpolation='nearest')],
    'aspect': [Resize((300, 400), interpolation='nearest')],
    'keep ratio': [Resize((500, 500), keep_ratio=True, interpolation='nearest')],
    'rotate': [RandomRotate(60)],
    'rotate on a canvas': [RandomRotate(90, use_canvas=True, pad_with_fixed_color=True)],
    'crop': [RandomCrop(0.4)],
    'crop through text': [TextDetRandomCrop(200)],
    'all': [
        RandomFlip(0.5, 'horizontal'),
        RandomRotate(30),
        Resize((400, 400), keep_ratio=True, interpolation='nearest'),
        TextDetRandomCrop(300),
    ],
}


@pytest.mark.parametrize('name', PIPELINES)
def test_boxes_cover_what_is_drawn(name):
    seen = 0
    for seed in range(6):
        np.random.seed(seed)
        out = drawn()
        for transform in PIPELINES[name]:
            out = transform(out)
        out = PolygonsToRotatedBoxes()(out)
        grey = out['img'][:, :, 0]
        border = {*grey[0], *grey[-1], *grey[:, 0], *grey[:, -1]}
        found = dict(zip(out['gt_bboxes_labels'].tolist(), out['gt_bboxes'].tensor))
        assert len(found) == len(out['gt_bboxes'])
        for value, ignore in zip(out['gt_bboxes_labels'], out['gt_ignore_flags']):
            assert ignore == (value == 120)
        for value in set(np.unique(grey)) - border - {0}:
            points = np.argwhere(grey == value)[:, ::-1]
            pixels = polygons_to_rotated([points])
            # The pixels are 1 px wide, their centres span 1 px less.
            pixels += torch.tensor([0.5, 0.5, 1, 1, 0])
            a, b = (
                shapely.Polygon(corners_of(box.double()).numpy())
                for box in (pixels[0], found[int(value)])
            )
            assert a.intersection(b).area > 0.8 * a.union(b).area
            seen += 1
    assert seen >= 6


def test_a_label_that_resize_has_emptied_is_left_out():
    """MMOCR's Resize sets points outside to zero and keeps the rest."""
    outside = corners_of(torch.tensor([500.0, 60, 60, 20, 0.3])).numpy().ravel()
    out = drawn()
    out['gt_polygons'].insert(2, outside)
    for key in ('gt_bboxes_labels', 'gt_ignored'):
        out[key] = np.insert(out[key], 2, 1)
    out['gt_bboxes'] = np.zeros((6, 4), np.float32)
    out = PolygonsToRotatedBoxes()(Resize((170, 130))(out))
    assert out['gt_bboxes_labels'].tolist() == [40, 80, 120, 160, 200]
    assert out['gt_ignore_flags'].tolist() == [False, False, True, False, False]
    wanted = BOXES * torch.tensor([0.5, 0.5, 0.5, 0.5, 1])
    torch.testing.assert_close(out['gt_bboxes'].tensor, wanted, atol=1e-2, rtol=0)


# --------------------------------------------------------------------------- good labels


def test_polygons_of_any_number_of_points():
    angles = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    ellipse = np.stack([100 + 40 * np.cos(angles), 50 + 10 * np.sin(angles)], 1)
    triangle = np.array([20.0, 20, 60, 20, 20, 30])
    out = PolygonsToRotatedBoxes()(results([triangle, ellipse.ravel(), list(SQUARE)]))
    boxes = out['gt_bboxes']
    assert type(boxes) is RotatedBoxes and boxes.tensor.dtype == torch.float32
    assert boxes.tensor[1].tolist() == pytest.approx([100, 50, 80, 20, 0], abs=0.2)
    assert boxes.tensor[2].tolist() == pytest.approx([25, 20, 30, 20, 0], abs=1e-3)
    # The smallest box around a triangle with a right angle has twice its area.
    assert boxes.areas[0].item() == pytest.approx(400, rel=1e-3)
    assert out['gt_bboxes_labels'].tolist() == [10, 11, 12]
    assert 'gt_polygons' not in out and 'gt_ignored' not in out


def test_the_boxes_of_rectangles():
    polygons = list(corners_of(BOXES).numpy().reshape(5, 8))
    out = PolygonsToRotatedBoxes()(results(polygons, img_shape=(HEIGHT, WIDTH)))
    torch.testing.assert_close(out['gt_bboxes'].tensor, regularize(BOXES), atol=1e-2, rtol=0)


def test_partly_outside_is_kept_whole(log):
    polygons = [SQUARE + np.tile(shift, 4) for shift in ([-30, 0], [0, -25], [180, 0], [0, 85])]
    out = PolygonsToRotatedBoxes()(results(polygons))
    assert not log and len(out['gt_bboxes']) == 4
    assert out['gt_bboxes'].areas.tolist() == pytest.approx([600] * 4, rel=1e-3)


def test_no_text_at_all():
    out = PolygonsToRotatedBoxes()(results([]))
    assert type(out['gt_bboxes']) is RotatedBoxes and out['gt_bboxes'].tensor.shape == (0, 5)
    assert out['gt_bboxes_labels'].shape == out['gt_ignore_flags'].shape == (0,)


def test_without_ignore_flags_nothing_is_ignored():
    given = results([SQUARE, SQUARE[:4], SQUARE])
    del given['gt_ignored']
    out = PolygonsToRotatedBoxes()(given)
    assert out['gt_ignore_flags'].tolist() == [False, False]
    assert out['gt_ignore_flags'].dtype == bool


# --------------------------------------------------------------------------- bad labels


BAD = {
    'few': (SQUARE[:4], 'fewer than 3 points'),
    'empty': (SQUARE[:0], 'fewer than 3 points'),
    'NaN': (np.where(np.arange(8) == 3, np.nan, SQUARE), 'not a finite number'),
    'infinite': (np.where(np.arange(8) == 2, np.inf, SQUARE), 'not a finite number'),
    'line': (np.array([10.0, 10, 30, 10, 50, 10]), 'under 1 px'),
    'thin': (np.array([10.0, 10, 30, 10, 30, 10.9, 10, 10.9]), 'under 1 px'),
    'point': (np.zeros(8), 'under 1 px'),
    'left': (SQUARE - [45, 0] * 4, 'outside the image'),
    'above': (SQUARE - [0, 31] * 4, 'outside the image'),
    'right': (SQUARE + [191, 0] * 4, 'outside the image'),
    'below': (SQUARE + [0, 91] * 4, 'outside the image'),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_label_is_left_out_and_named(name, log):
    polygon, reason = BAD[name]
    good = SQUARE + 2
    out = PolygonsToRotatedBoxes()(
        results([SQUARE, polygon, good], gt_ignored=np.array([False, False, True]))
    )
    assert out['gt_bboxes_labels'].tolist() == [10, 12]
    assert out['gt_ignore_flags'].tolist() == [False, True]
    torch.testing.assert_close(out['gt_bboxes'].tensor, polygons_to_rotated([SQUARE, good]))
    ((logger, level, line),) = log
    assert (logger, level) == ('current', logging.WARNING)
    assert 'a label of page.jpg' in line and reason in line
    assert str(np.round(polygon[:8].astype(float), 1).tolist()) in line


def test_an_odd_number_of_coordinates(log):
    out = PolygonsToRotatedBoxes()(results([SQUARE[:7], SQUARE]))
    assert out['gt_bboxes_labels'].tolist() == [11] and len(out['gt_bboxes']) == 1
    assert len(log) == 1


def test_labels_stay_with_their_boxes():
    """Good labels between bad ones keep their order."""
    polygons, places = [], []
    for i, (bad, _) in enumerate(BAD.values()):
        polygons += [bad, SQUARE + np.tile([3 * i, i], 4)]
        places.append([25 + 3 * i, 20 + i])
    ignored = np.arange(len(polygons)) % 3 == 0
    out = PolygonsToRotatedBoxes()(results(polygons, gt_ignored=ignored))
    kept = np.arange(1, len(polygons), 2)
    assert out['gt_bboxes_labels'].tolist() == (kept + 10).tolist()
    assert out['gt_ignore_flags'].tolist() == ignored[kept].tolist()
    np.testing.assert_allclose(out['gt_bboxes'].centers, places, atol=1e-3)


def test_all_labels_are_bad():
    out = PolygonsToRotatedBoxes()(results([polygon for polygon, _ in BAD.values()]))
    assert out['gt_bboxes'].tensor.shape == (0, 5) and out['gt_ignore_flags'].shape == (0,)


def test_each_kind_is_named_once(log):
    transform = PolygonsToRotatedBoxes()
    for path in ('a.jpg', 'b.jpg'):
        transform(results([SQUARE, BAD['few'][0], BAD['left'][0]], img_path=path))
    assert len(log) == 2 and all('a.jpg' in line for *_, line in log)
    transform(results([BAD['NaN'][0], BAD['right'][0], BAD['few'][0]], img_path='c.jpg'))
    assert len(log) == 3 and 'c.jpg' in log[2][2] and 'finite' in log[2][2]
    # Another one knows nothing of it, and an image may have no path.
    given = results([BAD['few'][0]])
    del given['img_path']
    PolygonsToRotatedBoxes()(given)
    assert len(log) == 4 and 'a label of an image' in log[3][2]


def test_a_shortest_side(log):
    small = [10.0, 10, 30, 10, 30, 14, 10, 14]
    for size, kept in ((3.9, 1), (4.1, 0)):
        out = PolygonsToRotatedBoxes(min_size=size)(results([small]))
        assert len(out['gt_bboxes']) == kept
    assert len(log) == 1 and 'under 4.1 px' in log[0][2]


@pytest.mark.parametrize('value', [0, -1.0, float('nan')])
def test_a_shortest_side_that_is_none(value):
    with pytest.raises(ValueError, match='min_size must be a number above 0, got'):
        PolygonsToRotatedBoxes(min_size=value)


# --------------------------------------------------------------------------- into the sample


@pytest.mark.parametrize('empty', [False, True])
def test_it_is_packed_by_mmdetection(empty):
    given = drawn()
    if empty:
        given.update(gt_polygons=[], gt_bboxes_labels=np.zeros(0, int), gt_ignored=[])
    pack = PackDetInputs(meta_keys=('img_path', 'ori_shape', 'img_shape'))
    packed = pack(PolygonsToRotatedBoxes()(given))
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, HEIGHT, WIDTH)
    for instances, labels in (
        (sample.gt_instances, [40, 80, 160, 200]),
        (sample.ignored_instances, [120]),
    ):
        labels = [] if empty else labels
        assert type(instances.bboxes) is RotatedBoxes
        assert instances.labels.tolist() == labels and instances.labels.dtype == torch.int64
        rows = [label // 40 - 1 for label in labels]
        torch.testing.assert_close(
            instances.bboxes.tensor, regularize(BOXES[rows]), atol=1e-2, rtol=0
        )


def test_the_polygons_given_are_left_as_they_are():
    given = drawn()
    polygons = given['gt_polygons']
    before = copy.deepcopy(polygons)
    PolygonsToRotatedBoxes()(given)
    assert all(np.array_equal(a, b) for a, b in zip(polygons, before))


def test_it_is_found_by_its_name():
    built = TRANSFORMS.build(dict(type='mmocr_da.PolygonsToRotatedBoxes', min_size=2.0))
    assert type(built) is PolygonsToRotatedBoxes
    assert repr(built) == 'PolygonsToRotatedBoxes(min_size=2.0)'
