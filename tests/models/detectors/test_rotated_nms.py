"""NMS of rotated boxes: laws, a greedy oracle on shapely, and MMCV's operator."""

import math

import numpy as np
import pytest
import shapely
import torch
from helpers.emulated_cuda import emulated_cuda, on_cuda
from mmcv.ops import nms_rotated as mmcv_nms_rotated

from mmocr_da.models.detectors.rotated_nms import BLOCK, ROOM, nms_rotated
from mmocr_da.structures import corners_of


def random_boxes(count, seed=0):
    """In heaps, as a detector gives them."""
    rng = np.random.default_rng(seed)
    heaps = np.stack(
        [
            *rng.uniform(0, 300, (2, 15)),
            rng.uniform(30, 90, 15),
            rng.uniform(8, 28, 15),
            rng.uniform(-1.5, 1.5, 15),
        ],
        1,
    )
    boxes = heaps[rng.integers(15, size=count)] + rng.normal(0, [4, 4, 4, 2, 0.15], (count, 5))
    boxes[:, 2:4] = boxes[:, 2:4].clip(2)
    return torch.from_numpy(boxes).float(), torch.from_numpy(rng.permutation(count) / count).float()


def oracle(boxes, scores, threshold):
    outlines = shapely.polygons(corners_of(boxes.double()).numpy())
    both = shapely.area(shapely.intersection(outlines[:, None], outlines[None]))
    areas = shapely.area(outlines)
    ious = both / (areas[:, None] + areas[None] - both)
    keep = []
    for row in scores.argsort(descending=True).tolist():
        if all(ious[row, other] < threshold for other in keep):
            keep.append(row)
    return keep


@pytest.mark.parametrize('threshold', [0.05, 0.1, 0.3, 0.5, 0.7, 0.85])
def test_it_keeps_what_mmcv_and_the_oracle_keep(threshold):
    boxes, scores = random_boxes(150)
    dets, keep = nms_rotated(boxes, scores, threshold)
    wanted, rows = mmcv_nms_rotated(boxes, scores, threshold)
    assert 5 < len(keep) < 150
    assert keep.tolist() == rows.tolist() == oracle(boxes, scores, threshold)
    assert torch.equal(dets, wanted)


def test_the_result():
    boxes, scores = random_boxes(60)
    dets, keep = nms_rotated(boxes, scores, 0.3)
    assert dets.shape == (len(keep), 6)
    assert torch.equal(dets[:, :5], boxes[keep]) and torch.equal(dets[:, 5], scores[keep])
    assert (dets[1:, 5] < dets[:-1, 5]).all() and dets[0, 5] == scores.max()
    # What is left goes through unchanged.
    again, rows = nms_rotated(dets[:, :5], dets[:, 5], 0.3)
    assert torch.equal(again, dets) and rows.tolist() == list(range(len(dets)))


def test_the_order_of_the_boxes_does_not_matter():
    boxes, scores = random_boxes(80)
    order = torch.randperm(80)
    dets, keep = nms_rotated(boxes, scores, 0.4)
    other, rows = nms_rotated(boxes[order], scores[order], 0.4)
    assert torch.equal(other, dets) and torch.equal(order[rows], keep)


def test_disjoint_boxes_stay():
    boxes = torch.tensor([[20.0 * i, 50 * j, 18, 9, 0.1 * i] for i in range(6) for j in range(4)])
    dets, keep = nms_rotated(boxes, torch.rand(24), 0.01)
    assert sorted(keep.tolist()) == list(range(24))


def test_one_of_identical_boxes_stays_and_it_is_the_best():
    boxes = torch.tensor([[50.0, 50, 40, 10, 0.5]]).repeat(4, 1)
    boxes[2, 4] += math.pi  # the same rectangle
    dets, keep = nms_rotated(boxes, torch.tensor([0.2, 0.9, 0.4, 0.3]), 0.9)
    assert keep.tolist() == [1] and dets[0, 5].item() == pytest.approx(0.9)


def test_a_box_that_is_gone_removes_nothing():
    """A chain: neighbours overlap by a third, the first and the third not at all."""
    boxes = torch.tensor([[0.0, 0, 40, 10, 0], [20, 0, 40, 10, 0], [40, 0, 40, 10, 0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    for threshold, wanted in ((0.32, [0, 2]), (0.34, [0, 1, 2])):
        assert nms_rotated(boxes, scores, threshold)[1].tolist() == wanted
    # From the other end, the middle one is the best.
    assert nms_rotated(boxes, torch.tensor([0.7, 0.9, 0.8]), 0.32)[1].tolist() == [1]


def test_a_crossing_of_two_lines_is_no_double():
    """Their surrounding boxes are the same one, but their overlap is 100 of 700."""
    boxes = torch.tensor([[0.0, 0, 40, 10, math.pi / 4], [0, 0, 40, 10, -math.pi / 4]])
    scores = torch.tensor([0.5, 0.6])
    assert nms_rotated(boxes, scores, 0.15)[1].tolist() == [1, 0]
    assert nms_rotated(boxes, scores, 0.14)[1].tolist() == [1]


def test_blocks_make_no_difference(monkeypatch):
    """Boxes are beaten by better ones of their own block and of earlier ones."""
    g = torch.Generator().manual_seed(3)
    boxes = torch.rand(300, 5, generator=g) * torch.tensor([90.0, 90, 60, 20, 3])
    boxes += torch.tensor([0.0, 0, 10, 5, -1.5])
    scores = torch.rand(300, generator=g)
    whole = nms_rotated(boxes, scores, 0.3)
    for size in (1, 7, 100):
        monkeypatch.setitem(BLOCK, 'cpu', size)
        found = nms_rotated(boxes, scores, 0.3)
        assert all(torch.equal(a, b) for a, b in zip(found, whole))
    assert 10 < len(whole[1]) < 200


@pytest.mark.parametrize('block, room, waits', [(4096, ROOM, 1), (100, ROOM, 3), (4096, 1, 2)])
def test_on_cuda_it_keeps_the_same_and_waits_once_a_block(block, room, waits, monkeypatch):
    """Once more, if there are more pairs than there is room for."""
    boxes, scores = random_boxes(250)
    wanted = nms_rotated(boxes, scores, 0.5)
    monkeypatch.setitem(BLOCK, 'cuda', block)
    monkeypatch.setattr('mmocr_da.models.detectors.rotated_nms.ROOM', room)
    with emulated_cuda() as record:
        found = nms_rotated(on_cuda(boxes), on_cuda(scores), 0.5)
        assert sum(record.waits().values()) == waits
        assert all(torch.equal(a.cpu(), b) for a, b in zip(found, wanted))


def test_no_boxes_and_one():
    with emulated_cuda():
        for move in (on_cuda, torch.clone):
            for boxes in (torch.zeros(0, 5), torch.tensor([[5.0, 5, 4, 2, 0]])):
                dets, keep = nms_rotated(move(boxes), move(boxes[:, 0]), 0.5)
                assert dets.shape == (len(boxes), 6)
                assert torch.equal(keep.cpu(), torch.arange(len(boxes)))
