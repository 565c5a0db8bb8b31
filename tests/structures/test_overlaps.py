"""Overlaps of rotated boxes against shapely, by hand, and what is left out."""

import math

import numpy as np
import pytest
import torch
from helpers.boxes import oracle_overlaps, random_boxes, single
from helpers.emulated_cuda import emulated_cuda, on_cuda

from mmocr_da.structures import may_overlap, rotated_overlaps
from mmocr_da.structures.overlaps import AREAS, PAIRS


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
    assert aligned.shape == (50,)
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
    for other, iou, iof, back in [
        (box, 1, 1, 1),
        (inner, 1 / 4, 1 / 4, 1),
        (far, 0, 0, 0),
        (crossing, 1 / 3, 1 / 2, 1 / 2),
        (shifted, 1 / 7, 1 / 4, 1 / 4),
    ]:
        assert rotated_overlaps(box, other).item() == pytest.approx(iou, abs=1e-4)
        assert rotated_overlaps(box, other, 'iof').item() == pytest.approx(iof, abs=1e-4)
        assert rotated_overlaps(other, box, 'iof').item() == pytest.approx(back, abs=1e-4)
    beside_and_below = torch.tensor([[18.0, 10, 8, 4, 0], [10, 14, 8, 4, 0]])
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
    flat = torch.tensor([[10.0, 10, 8, 0, 0.3], [10, 10, 0, 0, 0.3]])
    for boxes1, boxes2 in (
        (flat, single(10, 10, 8, 4, 0.3)),
        (single(10, 10, 8, 4, 0.3), flat),
        (flat, flat),
    ):
        found = rotated_overlaps(boxes1, boxes2, mode)
        assert found.shape == (len(boxes1), len(boxes2)) and not found.any()


@pytest.mark.parametrize('mode', ['iou', 'iof'])
def test_no_boxes_no_overlaps(mode):
    none, some = torch.zeros(0, 5), random_boxes(3)
    assert rotated_overlaps(none, some, mode).shape == (0, 3)
    assert rotated_overlaps(some, none, mode).shape == (3, 0)
    assert rotated_overlaps(none, none, mode, is_aligned=True).shape == (0,)


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


@pytest.fixture
def small_blocks(monkeypatch):
    for sizes, size in ((AREAS, 50), (PAIRS, 70)):
        for device in sizes:
            monkeypatch.setitem(sizes, device, size)


@pytest.mark.parametrize('rows, columns', [(30, 40), (3, 200), (200, 3)])
def test_blocks_make_no_difference(rows, columns, small_blocks):
    """Blocks of some rows, and of some columns of a row."""
    boxes1, boxes2 = random_boxes(rows), random_boxes(columns, seed=1)
    found = rotated_overlaps(boxes1, boxes2), may_overlap(boxes1, boxes2, 0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AREAS, 'cpu', 10**6), patch.setitem(PAIRS, 'cpu', 10**6)
        whole = rotated_overlaps(boxes1, boxes2), may_overlap(boxes1, boxes2, 0.3)
    assert all(torch.equal(a, b) for a, b in zip(found, whole))


@pytest.mark.parametrize('mode', ['iou', 'iof'])
def test_on_cuda_overlaps_are_the_same_and_few_need_no_wait(mode, monkeypatch):
    boxes1, boxes2 = random_boxes(20), random_boxes(30, seed=1)
    boxes1[:15, 4] = 0
    boxes2[:15] = boxes1[:15]  # beside one another, where rounding decides
    boxes2[:15, 0] += boxes2[:15, 2]
    wanted = rotated_overlaps(boxes1, boxes2, mode)
    with emulated_cuda() as record:
        for size, waits in ((600, 0), (599, 1)):
            monkeypatch.setitem(AREAS, 'cuda', size)
            record.clear()
            found = rotated_overlaps(on_cuda(boxes1), on_cuda(boxes2), mode)
            assert sum(record.waits().values()) == waits
            assert torch.equal(found.cpu(), wanted)
            none = rotated_overlaps(on_cuda(boxes1), on_cuda(boxes2[:0]), mode)
            assert none.shape == (20, 0)


def peak_bytes(step):
    """The most that is allocated at a time."""
    with torch.profiler.profile(profile_memory=True) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == '[memory]']
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize('spread', [20000, 1])
def test_memory_is_bounded_beside_the_result(spread):
    """Of a million pairs of which few overlap, and of 30,000 that all do; each at once is 25 MB."""
    rows, columns = (50, 20000) if spread > 1 else (10, 3000)
    boxes1, boxes2 = random_boxes(rows, spread=spread), random_boxes(columns, 1, spread)
    peak = peak_bytes(lambda: rotated_overlaps(boxes1, boxes2))
    assert peak < 4 * rows * columns + 12e6
