"""Which anchors are text: MMDetection's assigner without the condition, RRPN's by hand."""

import math

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmengine.structures import InstanceData

from mmocr_da.models.detectors import AngleMaxIoUAssigner
from mmocr_da.models.detectors.angle_max_iou_assigner import angle_difference
from mmocr_da.structures import RotatedBoxes, rotated_overlaps

RRPN = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)


def assign(assigner, priors, gts, labels=None, ignore=None, kind=RotatedBoxes):

    def instances(boxes, key='bboxes'):
        boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 5)
        return InstanceData(**{key: kind(boxes)})

    gt_instances = instances(gts)
    gt_instances.labels = torch.zeros(len(gt_instances), dtype=torch.long)
    if labels is not None:
        gt_instances.labels = torch.tensor(labels)
    return assigner.assign(
        instances(priors, 'priors'), gt_instances, None if ignore is None else instances(ignore)
    )


def inds(*args, **kwargs):
    return assign(*args, **kwargs).gt_inds.tolist()


def rotated(box, degrees):
    return [*box[:4], box[4] + math.radians(degrees)]


def random_scene(seed):
    """Labels, and anchors around them at all angles."""
    rng = np.random.default_rng(seed)
    gts = np.stack(
        [
            *rng.uniform(0, 300, (2, 6)),
            rng.uniform(40, 120, 6),
            rng.uniform(15, 35, 6),
            rng.uniform(-1.5, 1.5, 6),
        ],
        1,
    )
    noise = rng.normal(0, [6, 4, 8, 4, 0.3], (200, 5)) * rng.uniform(0, 1, (200, 1))
    return gts[rng.integers(6, size=200)] + noise, gts


OPTIONS = [
    dict(),
    dict(match_low_quality=False),
    dict(gt_max_assign_all=False),
    dict(min_pos_iou=0.3),
    dict(gpu_assign_thr=2),
    dict(ignore_iof_thr=0.5),
    dict(ignore_iof_thr=0.5, ignore_wrt_candidates=False),
]


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('kind', [RotatedBoxes, torch.Tensor.clone])
def test_without_the_condition_it_is_the_assigner_of_mmdetection(options, kind):
    ours = AngleMaxIoUAssigner(0.6, 0.3, max_angle=180, **options)
    theirs = MaxIoUAssigner(
        0.6, 0.3, iou_calculator=dict(type='mmocr_da.RotatedOverlaps'), **options
    )
    priors, gts = random_scene(0)
    # Not the whole of the ignored region is text.
    scene = priors, gts, [3, 1, 4, 1, 5, 9], gts[:2] + [10, 5, 0, 0, 0]
    found, wanted = (assign(assigner, *scene, kind=kind) for assigner in (ours, theirs))
    assert {-1, 0, 1} <= set(wanted.gt_inds.clamp(max=1).tolist())
    for name in ('gt_inds', 'labels', 'max_overlaps'):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    assert found.num_gts == 6


@pytest.mark.parametrize('max_angle', [5, 15, 40])
def test_against_an_oracle(max_angle):
    """One anchor at a time; without low quality matches, as heads of a second stage have it."""
    priors, gts = random_scene(1)
    assigner = AngleMaxIoUAssigner(0.6, 0.3, max_angle, match_low_quality=False)
    overlaps = rotated_overlaps(*(torch.tensor(b).float() for b in (gts, priors))).tolist()
    wanted = []
    for j, prior in enumerate(priors):
        gaps = [abs((math.degrees(gt[4] - prior[4]) + 90) % 180 - 90) for gt in gts]
        fitting = [i for i, gap in enumerate(gaps) if gap < max_angle]
        best = max(fitting, key=lambda i: overlaps[i][j], default=None)
        if best is not None and overlaps[best][j] >= 0.6:
            wanted.append(best + 1)
        elif best is not None and overlaps[best][j] >= 0.3:
            wanted.append(-1)
        else:
            wanted.append(-1 if any(0.3 <= overlaps[i][j] < 0.6 for i in range(6)) else 0)
    assert len(set(wanted)) > 4
    assert inds(assigner, priors, gts) == wanted


LINE = [100.0, 100, 60, 20, 0.3]
SQUARE = [100.0, 100, 40, 40, 0.3]


def test_an_anchor_at_the_right_angle_is_text():
    result = assign(
        AngleMaxIoUAssigner(**RRPN), [LINE, rotated(LINE, 5), [500, 500, 60, 20, 0.3]], [LINE], [7]
    )
    assert result.gt_inds.tolist() == [1, 1, 0]
    assert result.labels.tolist() == [7, 7, -1]
    assert result.max_overlaps[0] == pytest.approx(1, abs=1e-3) and result.max_overlaps[2] == 0


def test_much_overlap_at_a_wrong_angle_is_background():
    """Squares overlap wholly at 90 degrees, and by 0.707 at 45."""
    priors = [rotated(SQUARE, degrees) for degrees in (0, 45, 90, -90)]
    assert inds(AngleMaxIoUAssigner(**RRPN), priors, [SQUARE]) == [1, 0, 0, 0]
    assert inds(AngleMaxIoUAssigner(**RRPN, max_angle=50), priors, [SQUARE]) == [1, 1, 0, 0]


def test_some_overlap_at_a_wrong_angle_is_neither():
    """40 x 20 overlap with themselves by a third at 90 degrees, 60 x 20 by a fifth."""
    box = [100.0, 100, 40, 20, 0.3]
    assert inds(AngleMaxIoUAssigner(**RRPN), [box, rotated(box, 90)], [box]) == [1, -1]
    assert inds(AngleMaxIoUAssigner(**RRPN), [LINE, rotated(LINE, 90)], [LINE]) == [1, 0]
    # Some overlap at the right angle is neither, too, as with MMDetection.
    longer = [100.0, 100, 120, 20, 0.3]
    assert inds(AngleMaxIoUAssigner(**RRPN), [LINE, longer], [LINE]) == [1, -1]


def test_the_limit_of_the_angle():
    priors = [rotated(LINE, d) for d in (0, 14.5, -14.5, 15.5, -15.5, 180 - 14.5, 180 + 14.5)]
    assigner = AngleMaxIoUAssigner(0.4, 0.3, match_low_quality=False)
    assert inds(assigner, priors, [LINE]) == [1, 1, 1, 0, 0, 1, 1]
    exact = AngleMaxIoUAssigner(0.4, 0.3, max_angle=1e-9, match_low_quality=False)
    assert inds(exact, priors, [LINE]) == [1, 0, 0, 0, 0, 0, 0]


def test_angles_on_both_sides_of_a_quarter_turn_fit():
    upright = [100.0, 100, 60, 20, math.pi / 2 - 0.02]
    other = [100.0, 100, 60, 20, -math.pi / 2 + 0.02]
    assert inds(AngleMaxIoUAssigner(**RRPN), [other], [upright]) == [1]


def test_the_best_anchor_at_a_wrong_angle_is_not_taken():
    box = [100.0, 100, 40, 20, 0.3]
    shifted = [100.0, 119, 110, 20, 0.3]
    overlaps = rotated_overlaps(torch.tensor([box]), torch.tensor([rotated(box, 90), shifted]))[0]
    assert overlaps[0] > 0.3 > overlaps[1] > 0.01
    assigner = AngleMaxIoUAssigner(0.7, 0.3, min_pos_iou=0.01)
    assert inds(assigner, [rotated(box, 90), shifted], [box]) == [-1, 1]
    assert inds(assigner, [rotated(box, 90)], [box]) == [-1]
    assert inds(assigner, [rotated(SQUARE, 90)], [SQUARE]) == [0]
    # Without the condition it is taken.
    free = AngleMaxIoUAssigner(0.7, 0.3, min_pos_iou=0.01, max_angle=180)
    assert inds(free, [rotated(box, 90), shifted], [box]) == [1, 0]


def test_each_label_is_judged_by_its_own_angle():
    """A box between two crossing lines: the one at its angle counts, whichever it overlaps more."""
    square = [100.0, 100, 40, 38, 0.3]
    other = [100.0, 100, 44, 40, 0.3 - math.pi / 2]
    assert inds(AngleMaxIoUAssigner(**RRPN), [square], [other, square]) == [2]
    assert inds(AngleMaxIoUAssigner(**RRPN), [other], [other, square]) == [1]
    # A label that is missed by some does not take back what another has.
    missed = [100.0, 100, 40, 80, 0.3 - math.pi / 2 + 0.6]
    assert 0.3 < rotated_overlaps(torch.tensor([missed]), torch.tensor([square])).item() < 0.7
    assert inds(AngleMaxIoUAssigner(**RRPN), [square], [missed, square]) == [2]
    assert inds(AngleMaxIoUAssigner(**RRPN), [square], [missed]) == [-1]


def test_without_labels_all_is_background():
    priors, _ = random_scene(2)
    result = assign(AngleMaxIoUAssigner(**RRPN), priors, [])
    assert not result.gt_inds.any() and (result.labels == -1).all() and result.num_gts == 0


def test_without_anchors():
    result = assign(AngleMaxIoUAssigner(**RRPN), [], [LINE])
    assert result.gt_inds.shape == (0,) and result.num_gts == 1


def test_ignored_labels():
    """An anchor of which more than half is in one is neither, at any angle."""
    region = [100.0, 100, 100, 40, 0.0]
    priors = [
        [100.0, 100, 40, 20, 0],
        [100, 100, 40, 20, 1.0],
        [145, 100, 40, 20, 0],
        [155, 100, 40, 20, 0],
        [400, 100, 40, 20, 0],
    ]
    gts = [[300.0, 300, 40, 20, 0]]
    assigner = AngleMaxIoUAssigner(**RRPN, ignore_iof_thr=0.5)
    assert inds(assigner, priors, gts, ignore=[region]) == [-1, -1, -1, 0, 0]
    assert inds(AngleMaxIoUAssigner(**RRPN), priors, gts, ignore=[region]) == [0] * 5
    # Also one that would be text, or background for its angle.
    found = inds(assigner, [priors[0], rotated(SQUARE, 90)], [priors[0], SQUARE], ignore=[region])
    assert found[0] == -1
    whole = [100.0, 100, 200, 200, 0.0]
    assert inds(assigner, [rotated(SQUARE, 90)], [SQUARE], ignore=[whole]) == [-1]


def test_nothing_is_left_for_the_next_image():
    assigner = AngleMaxIoUAssigner(**RRPN)
    priors, gts = random_scene(3)
    before = inds(assigner, priors, gts)
    assign(assigner, priors[:7], gts[:1])
    with pytest.raises(Exception):
        assigner.assign(
            InstanceData(priors=torch.zeros(2, 5)), InstanceData(bboxes=torch.zeros(1, 5))
        )  # no labels
    assert '_fits' not in vars(assigner)
    assert inds(assigner, priors, gts) == before


def test_difference_of_angles():
    a, b = torch.rand(2, 300, dtype=torch.float64) * 20 - 10
    found = angle_difference(a, b)
    torch.testing.assert_close(found, torch.asin((a - b).sin().abs()), atol=1e-6, rtol=0)
    torch.testing.assert_close(found, angle_difference(b, a))
    torch.testing.assert_close(found, angle_difference(a + math.pi, b))


@pytest.mark.parametrize('value', [(0.1, 0.3), 1, None])
def test_a_threshold_that_is_not_one_number(value):
    with pytest.raises(ValueError, match='neg_iou_thr must be'):
        AngleMaxIoUAssigner(0.7, value)


def test_it_is_found_by_its_name():
    built = MMDET_TASK_UTILS.build(dict(type='mmocr_da.AngleMaxIoUAssigner', **RRPN))
    assert type(built) is AngleMaxIoUAssigner
    assert built.max_angle == pytest.approx(math.pi / 12)


@pytest.mark.parametrize('size', [1, 450])
def test_some_labels_at_a_time_make_no_difference(size, monkeypatch):
    """Of 6 labels and 200 anchors: one at a time, or two."""
    assigner = AngleMaxIoUAssigner(**RRPN)
    wanted = inds(assigner, *random_scene(0))
    monkeypatch.setattr('mmocr_da.models.detectors.angle_max_iou_assigner.PAIRS', size)
    assert inds(assigner, *random_scene(0)) == wanted and max(wanted) > 0
