"""F1 at several IoUs and the mean IoU, against MMOCR's metric and by hand."""

import numpy as np
import pytest
from mmocr.evaluation.metrics import HmeanIOUMetric

from mmocr_da.evaluation import (
    IOUS,
    BoxQualityMetric,
    MatchedRegions,
    f1_difference,
    f1_interval,
    match_regions,
    mean_iou_difference,
)
from mmocr_da.registry import METRICS


def rectangle(x, y, w, h):
    return np.array([x, y, x + w, y, x + w, y + h, x, y + h], float)


def sample(boxes, found, scores=None, ignored=()):
    """An image with labelled and predicted rectangles."""
    scores = np.full(len(found), 0.9) if scores is None else np.array(scores)
    return dict(
        gt_instances=dict(
            polygons=[rectangle(*b) for b in boxes],
            ignored=np.isin(np.arange(len(boxes)), ignored),
        ),
        pred_instances=dict(
            polygons=[rectangle(*b) for b in found], scores=scores.astype(np.float32)
        ),
    )


def random_sample(seed):
    """Labels in a grid, which do not touch, and variants of them, some of them twice."""
    rng = np.random.default_rng(seed)
    boxes = [(40 * i, 20 * j, 30, 12) for i in range(4) for j in range(4) if rng.random() < 0.7]
    found = [np.array(b) + rng.normal(0, 2, 4) for b in boxes for _ in range(rng.integers(0, 3))]
    ignored = [i for i in range(len(boxes)) if rng.random() < 0.1]
    return sample(boxes, found, rng.random(len(found)), ignored)


def evaluate(samples, **options):
    metric = METRICS.build(dict(type='mmocr_da.BoxQualityMetric', **options))
    metric.process([], samples)
    return metric.compute_metrics(metric.results)


@pytest.mark.parametrize('iou', [0.5, 0.7, 0.8])
@pytest.mark.parametrize('score', [0.5, 0.2])
@pytest.mark.parametrize('strategy', ['vanilla', 'max_matching'])
def test_at_one_iou_it_is_the_metric_of_mmocr(iou, score, strategy):
    samples = [random_sample(seed) for seed in range(10)]
    theirs = HmeanIOUMetric(
        match_iou_thr=iou,
        strategy=strategy,
        pred_score_thrs=dict(start=score, stop=score + 0.05, step=0.1),
    )
    theirs.process([], samples)
    theirs = theirs.compute_metrics(theirs.results)
    ours = evaluate(samples, ious=[iou], score=score)
    name = f'{100 * iou:g}'
    assert 0.1 < theirs['hmean'] < 0.9
    assert ours[f'f1_{name}'] == pytest.approx(theirs['hmean'])
    assert ours[f'recall_{name}'] == pytest.approx(theirs['recall'])
    assert ours[f'precision_{name}'] == pytest.approx(theirs['precision'])


def test_numbers_by_hand():
    """Of three labels one is found exactly, one at an IoU of 8 / 10; two more predictions."""
    boxes = [(0, 0, 10, 10), (0, 50, 10, 10), (0, 99, 10, 10)]
    found = [(0, 0, 10, 10), (0, 50, 8, 10), (50, 0, 9, 9), (70, 0, 9, 9)]
    values = evaluate([sample(boxes, found), sample([], [])], ious=(0.5, 0.75, 0.85))
    assert values == pytest.approx(
        dict(
            f1_50=4 / 7,
            recall_50=2 / 3,
            precision_50=2 / 4,
            f1_75=4 / 7,
            recall_75=2 / 3,
            precision_75=2 / 4,
            f1_85=2 / 7,
            recall_85=1 / 3,
            precision_85=1 / 4,
            mean_iou=0.9,
            f1=np.mean([(4 if iou < 0.8 else 2) / 7 for iou in IOUS]),
        ),
        # Polygons are compared exactly, but for the last bit: 0.8 is not above 0.8.
        abs=1e-6,
    )


def test_the_mean_is_one_of_f1_at_ten_ious():
    samples = [random_sample(seed) for seed in range(5)]
    values = evaluate(samples, ious=IOUS)
    singles = [values[f'f1_{100 * iou:g}'] for iou in IOUS]
    assert IOUS[0] == 0.5 and IOUS[-1] == 0.95 and len(IOUS) == 10
    assert values['f1'] == pytest.approx(np.mean(singles))
    assert (np.diff(singles) <= 0).all() and singles[0] > singles[-1]


def test_a_region_below_the_score_does_not_count():
    boxes, found = [(0, 0, 10, 10)], [(0, 0, 10, 10), (0, 0, 10, 9)]
    values = evaluate([sample(boxes, found, [0.4, 0.6])])
    assert values['mean_iou'] == pytest.approx(0.9) and values['precision_50'] == 1


def test_nothing_found_and_nothing_labelled_are_zeros():
    for samples in ([], [sample([], [])], [sample([(0, 0, 9, 9)], [])]):
        assert set(evaluate(samples).values()) == {0.0}


def test_a_match_is_the_best_one_and_only_once():
    """The second label's best prediction is taken by the first label, which fits better."""
    iou = np.array([[0.9, 0.6, 0.0], [0.8, 0.55, 0.0], [0.0, 0.0, 0.5]])
    assert match_regions(iou).tolist() == [0.9, 0.55]
    assert match_regions(iou, 0.7).tolist() == [0.9]
    assert match_regions(iou.T).tolist() == [0.9, 0.55]
    assert match_regions(np.zeros((0, 3))).tolist() == []


@pytest.fixture
def runs():
    """Two detectors, two runs of each, on the same images."""
    rng = np.random.default_rng(0)
    out = []
    for quality in (0.9, 0.7):
        out.append([])
        for _ in range(2):
            count = rng.integers(1, 5, 60)
            ious = [np.clip(rng.normal(quality, 0.1, n), 0.51, 1) for n in count]
            out[-1].append(MatchedRegions(ious, count + rng.integers(0, 2, 60), count + 1))
    return out


def test_differences_are_those_of_the_means_of_all_runs(runs):
    better, baseline = runs
    for difference, value in (
        (f1_difference(better, baseline, 0.7), lambda run: run.f1(0.7)),
        (f1_difference(better, baseline, *IOUS), lambda run: run.f1(*IOUS)),
        (mean_iou_difference(better, baseline), lambda run: run.mean_iou),
    ):
        expected = np.mean([value(run) for run in better]) - np.mean([value(r) for r in baseline])
        assert difference.value == pytest.approx(expected)
        assert 0 < difference.low < difference.value < difference.high
    zero = f1_difference(better, better, 0.5)
    assert (zero.value, zero.low, zero.high) == (0, 0, 0)  # images stay together


def test_the_interval_of_one_iou_is_that_of_f1(runs):
    better, baseline = runs
    found = [np.stack([run.found(0.8) for run in group]) for group in runs]
    counts = [np.stack([run.counts for run in group]) for group in runs]
    expected = f1_interval(found[0], counts[0], (found[1], counts[1]))
    assert f1_difference(better, baseline, 0.8) == pytest.approx(expected)


def test_it_is_exported_as_the_metric_of_mmocr():
    cfg = BoxQualityMetric.plain_cfg(dict(type='mmocr_da.BoxQualityMetric', score=0.3))
    assert METRICS.build(cfg).pred_score_thrs.tolist() == [0.3]
    cfg = BoxQualityMetric.plain_cfg(
        dict(type='mmocr_da.BoxQualityMetric', ignore_precision_thr=0.2, prefix='mine')
    )
    metric = METRICS.build(cfg)
    assert (metric.ignore_precision_thr, metric.prefix) == (0.2, 'mine')
