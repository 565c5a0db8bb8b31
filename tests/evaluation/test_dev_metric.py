"""Deep embedded validation: limits, a shift that is known, and no label of the target."""

import math

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmocr.evaluation import MultiDatasetsEvaluator

from mmocr_da.evaluation import DensityRatio, dev_metric, importance_weighted_risk
from mmocr_da.registry import METRICS


def sample(feature, text='a', label='a'):
    return dict(
        feature=np.atleast_1d(np.asarray(feature, float)),
        pred_text=dict(item=text),
        gt_text=dict(item=label),
        img_path='some.png',
    )


def evaluated(first, second, sizes=None, **options):
    init_default_scope('mmocr')
    metric = METRICS.build(dict(type='mmocr_da.DEVMetric', **options))
    metric.dataset_meta = dict(cumulative_sizes=sizes or [len(first), len(first + second)])
    metric.process({}, first + second)
    return metric.evaluate(len(first + second))


def shifted(count=4000):
    """Source N(0, 1), target N(1, 1); the recognizer is wrong where ``x > 1``."""
    rng = np.random.default_rng(0)
    source = [sample(x, 'b' if x > 1 else 'a') for x in rng.normal(0, 1, count)]
    return source, [sample(x, label='') for x in rng.normal(1, 1, count)]


def test_it_estimates_the_accuracy_on_the_target():
    source, target = shifted()
    assert np.mean([s['pred_text']['item'] == 'a' for s in source]) > 0.8
    assert evaluated(source, target) == {'label_free/dev': pytest.approx(0.5, abs=0.07)}


def test_it_is_the_weighted_risk_of_the_source():
    source, target = shifted(200)
    x, y = (np.array([s['feature'] for s in part]) for part in (source, target))
    errors = [s['pred_text']['item'] != 'a' for s in source]
    expected = 1 - importance_weighted_risk(errors, DensityRatio(x, y)(x))
    assert evaluated(source, target)['label_free/dev'] == pytest.approx(expected)


def test_without_errors_it_is_one_and_with_errors_alone_zero():
    source, target = shifted(100)
    for text, expected in (('a', 1), ('b', 0)):
        every = [dict(s, pred_text=dict(item=text)) for s in source]
        assert evaluated(every, target)['label_free/dev'] == pytest.approx(expected)


def test_labels_of_the_target_do_not_matter():
    source, target = shifted(100)
    others = [dict(s, gt_text=dict(item='zz')) for s in target]
    del others[0]['gt_text']
    assert evaluated(source, target) == evaluated(source, others)


def test_the_source_may_be_any_of_the_datasets():
    source, target = shifted(100)
    wanted = evaluated(source, target)
    sizes = [100, 200]
    assert evaluated(target, source, sizes, source=[1]) == pytest.approx(wanted)
    sizes = [30, 100, 200]
    assert evaluated(source, target, sizes, source=[0, 1]) == pytest.approx(wanted)


def test_case_is_ignored_if_wanted():
    source, target = shifted(100)
    source = [dict(s, pred_text=dict(item='A')) for s in source]
    assert evaluated(source, target, ignore_case=True)['label_free/dev'] == pytest.approx(1)
    assert evaluated(source, target)['label_free/dev'] == pytest.approx(0)


def test_an_evaluator_of_several_datasets_gives_it_once():
    source, target = shifted(100)
    init_default_scope('mmocr')
    evaluator = MultiDatasetsEvaluator(
        [dict(type='mmocr_da.DEVMetric')], dataset_prefixes=['source', 'target']
    )
    evaluator.dataset_meta = dict(cumulative_sizes=[100, 200])
    for _ in range(2):
        evaluator.process(source + target)
        wanted = evaluated(source, target)['label_free/dev']
        assert evaluator.evaluate(200) == {'target/label_free/dev': pytest.approx(wanted)}


def test_domains_that_do_not_overlap_are_named(monkeypatch):
    lines = []
    monkeypatch.setattr(dev_metric, 'print_log', lambda text, **_: lines.append(text))
    source, target = shifted(200)
    evaluated(source, target)
    assert lines == []
    far = [sample(x + 20) for x in np.linspace(0, 1, 200)]
    assert math.isfinite(evaluated(source, far)['label_free/dev'])
    assert len(lines) == 1 and 'the domains hardly overlap' in lines[0]


def test_what_is_missing_is_named():
    source, target = shifted(10)
    with pytest.raises(ValueError, match='labelled source images'):
        evaluated(source, target, [20])
    with pytest.raises(ValueError, match='with 10 source images, of which 0 have a label'):
        evaluated(target, source)
    with pytest.raises(ValueError, match='got none for some.png; add dict'):
        evaluated([dict(source[0], feature=None)], target)
    with pytest.raises(ValueError, match='source must be an integer of at least 0'):
        evaluated(source, target, source=[-1])
    with pytest.raises(ValueError, match='must name a dataset'):
        evaluated(source, target, source=[])
