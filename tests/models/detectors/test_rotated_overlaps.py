"""The calculator that assigners ask: it takes box types and tensors, and says what shapely says."""

import numpy as np
import pytest
import torch
from helpers.boxes import oracle_overlaps, random_boxes
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS

from mmocr_da.models.detectors import RotatedOverlaps
from mmocr_da.registry import TASK_UTILS
from mmocr_da.structures import RotatedBoxes


@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('kind', [RotatedBoxes, torch.Tensor.clone])
def test_against_shapely(mode, kind):
    boxes1, boxes2 = random_boxes(30), random_boxes(25, seed=1)
    wanted = oracle_overlaps(boxes1, boxes2, mode)
    found = RotatedOverlaps()(kind(boxes1), kind(boxes2), mode=mode)
    assert wanted.max() > 0.3
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    aligned = RotatedOverlaps()(kind(boxes1[:25]), kind(boxes2), mode, is_aligned=True)
    np.testing.assert_allclose(aligned, wanted.diagonal(), atol=1e-3)


def test_by_hand():
    """A quarter of the first box is in the second, which is half as large."""
    box, other = torch.tensor([[0.0, 0, 8, 4, 0]]), torch.tensor([[4.0, 0, 4, 4, 0]])
    ask = RotatedOverlaps()
    assert ask(box, other).item() == pytest.approx(8 / (32 + 16 - 8), abs=1e-4)
    assert ask(box, other, 'iof').item() == pytest.approx(1 / 4, abs=1e-4)
    assert ask(other, box, 'iof').item() == pytest.approx(1 / 2, abs=1e-4)


@pytest.mark.parametrize('registry', [TASK_UTILS, MMDET_TASK_UTILS])
def test_it_is_found_by_its_name(registry):
    built = registry.build(dict(type='mmocr_da.RotatedOverlaps'))
    assert type(built) is RotatedOverlaps and repr(built) == 'RotatedOverlaps()'
