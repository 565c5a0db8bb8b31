"""Stored pairs of boxes: bounds, the IoU, uniform drawing, the file."""

import json
import math

import numpy as np
import pytest
import torch
from shapely.geometry import Polygon

from mmocr_da.models.surrogates import StoredBoxPairs
from mmocr_da.models.surrogates.box_pairs import jitter, read_labels
from mmocr_da.structures import corners_of


def write(file, *polygons, ignore=()):
    instances = [
        dict(polygon=list(map(float, p)), ignore=i in ignore) for i, p in enumerate(polygons)
    ]
    file.write_text(json.dumps(dict(data_list=[dict(img_path='a.jpg', instances=instances)])))
    return str(file)


@pytest.fixture
def labels(tmp_path):
    return write(
        tmp_path / 'labels.json',
        [0, 0, 80, 0, 80, 20, 0, 20],
        [300, 300, 360, 340, 350, 355, 290, 315],
        [5, 5, 15, 5, 15, 15, 5, 15],
    )


@pytest.fixture
def make(labels, tmp_path):

    def build(num_pairs=20000, **kwargs):
        return StoredBoxPairs(
            kwargs.pop('ann_files', labels),
            num_pairs=num_pairs,
            cache_dir=str(tmp_path / 'cache'),
            **kwargs,
        )

    return build


def test_the_stored_iou_is_that_of_the_polygons(make):
    pairs = make(500).pairs
    boxes, labels = (corners_of(torch.tensor(pairs[:, i : i + 5]).double()) for i in (0, 5))
    for a, b, iou in zip(boxes.numpy(), labels.numpy(), pairs[:, 10]):
        a, b = Polygon(a), Polygon(b)
        inside = a.intersection(b).area
        assert inside / (a.area + b.area - inside) == pytest.approx(iou, abs=2e-3)


def test_drawn_pairs_are_uniform_over_the_iou(make):
    iou = make().draw(20000, np.random.default_rng(0))[2].numpy()
    counts = np.histogram(iou, np.linspace(0, 1, 11))[0]
    # 9 degrees of freedom; 35 is passed by 1 of 20,000 uniform draws.
    assert ((counts - 2000) ** 2 / 2000).sum() < 35
    stored = np.histogram(make().pairs[:, 10], np.linspace(0, 1, 11))[0]
    assert ((stored - 2000) ** 2 / 2000).sum() > 1000


def test_a_draw_is_a_row_of_the_collection(make):
    pairs = make(300)
    boxes, labels, iou = pairs.draw(50, np.random.default_rng(1))
    rows = {row.tobytes() for row in np.asarray(pairs.pairs)}
    drawn = torch.cat([boxes, labels, iou[:, None]], 1).numpy()
    assert all(row.tobytes() in rows for row in drawn)


def test_jitter_is_within_its_bounds():
    label = torch.tensor([[100.0, 100, 60, 20, 0.5]]).repeat(4000, 1)
    out = jitter(label, np.random.default_rng(0), 0.5, 1.5, 20).double()
    size = out[:, 2:4] / torch.tensor([60.0, 20])
    assert 1 / 1.5 - 1e-6 <= size.min() < 0.75 and 1.4 < size.max() <= 1.5 + 1e-6
    angle = (out[:, 4] - 0.5).abs()
    assert 0.3 < angle.max() <= math.radians(20) + 1e-6
    x, y = (out[:, :2] - 100).unbind(1)
    along = math.cos(0.5) * x + math.sin(0.5) * y
    across = math.cos(0.5) * y - math.sin(0.5) * x
    assert 25 < along.abs().max() <= 30 + 1e-3 and 8 < across.abs().max() <= 10 + 1e-3


def test_a_seed_gives_the_same_pairs_and_another_seed_others(make):
    first, other = make(200), make(200, seed=1)
    assert first.file == make(200).file != other.file
    assert not np.array_equal(first.pairs, other.pairs)


def test_pairs_are_stored_once(make, monkeypatch):
    first = make(200)
    monkeypatch.setattr(StoredBoxPairs, '_store', lambda self: pytest.fail('stored again'))
    np.testing.assert_array_equal(make(200).pairs, first.pairs)
    assert isinstance(make(200).pairs, np.memmap)


@pytest.mark.parametrize(
    'change',
    [dict(num_pairs=201), dict(max_shift=0.9), dict(max_scale=1.9), dict(max_angle=44.0), 'labels'],
)
def test_other_options_and_labels_have_other_files(make, change, tmp_path):
    if change == 'labels':
        change = dict(ann_files=write(tmp_path / 'b.json', [0, 0, 81, 0, 81, 20, 0, 20]))
    assert make(200).file != make(**{'num_pairs': 200, **change}).file


def test_a_killed_store_leaves_no_file(make, monkeypatch):
    def killed(f, pairs):
        f.write(b'half')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, 'save', killed)
        with pytest.raises(KeyboardInterrupt):
            make(200)
    assert len(make(200).pairs) == 200


def test_an_empty_bin_is_replaced_by_the_next_one(make):
    """Little jitter: all pairs have a high IoU."""
    pairs = make(200, max_shift=0.01, max_scale=1.01, max_angle=1.0)
    iou = pairs.draw(1000, np.random.default_rng(0))[2]
    assert len(iou) == 1000 and iou.min() > 0.7


def test_three_million_are_below_200_mb(make):
    few, many = (make(num_pairs).file.stat().st_size for num_pairs in (100, 1100))
    assert 3_000_000 * (many - few) / 1000 < 200e6


def test_ignored_and_flat_labels_are_left_out(tmp_path):
    file = write(
        tmp_path / 'l.json',
        [0, 0, 9, 0, 9, 3, 0, 3],
        [0, 0, 5, 0, 5, 5, 0, 5],
        [0, 0, 9, 0, 5, 0],
        [0, 0, 9, 9],
        ignore=[1],
    )
    assert read_labels([file]).round(4).tolist() == [[4.5, 1.5, 9, 3, 0]]


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_pairs=0), 'num_pairs must be'),
        (dict(max_scale=0.5), 'max_scale must be'),
        (dict(max_shift=-1), 'max_shift must be'),
        (dict(max_angle=91), 'max_angle must be'),
    ],
)
def test_bad_options_are_named(make, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


def test_files_without_labels_are_named(make, tmp_path):
    with pytest.raises(ValueError, match='polygons with an area, got none'):
        make(ann_files=write(tmp_path / 'none.json'))
    (tmp_path / 'list.json').write_text('[]')
    with pytest.raises(ValueError, match="MMOCR's format"):
        make(ann_files=[str(tmp_path / 'list.json')])


def test_one_process_of_a_machine_stores_them(make, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(FileNotFoundError):
        make(200)
    monkeypatch.setenv('LOCAL_RANK', '0')
    assert len(make(200).pairs) == 200
    monkeypatch.setenv('LOCAL_RANK', '1')
    assert len(make(200).pairs) == 200


def test_axis_parallel_pairs_have_no_angle_and_may_be_higher_than_wide(make, tmp_path):
    """As a detector of boxes of four numbers has them."""
    tall = write(tmp_path / 'tall.json', [0, 0, 10, 0, 10, 40, 0, 40], [9, 0, 18, 9, 9, 18, 0, 9])
    pairs = make(2000, ann_files=tall, axis_parallel=True)
    np.testing.assert_allclose(pairs.labels, [[5, 20, 10, 40, 0], [9, 9, 18, 18, 0]], rtol=1e-5)
    boxes, labels, iou = pairs.draw(2000, np.random.default_rng(0))
    assert (boxes[:, 4] == 0).all() and (boxes[:, 2] < boxes[:, 3]).float().mean() > 0.4
    low, high = ([b[:, :2] + sign * b[:, 2:4] / 2 for b in (boxes, labels)] for sign in (-1, 1))
    inside = (torch.minimum(*high) - torch.maximum(*low)).clamp(min=0).prod(1)
    areas = boxes[:, 2:4].prod(1) + labels[:, 2:4].prod(1)
    torch.testing.assert_close(inside / (areas - inside), iou, atol=1e-4, rtol=0)
    assert make(2000, ann_files=tall).file != pairs.file
