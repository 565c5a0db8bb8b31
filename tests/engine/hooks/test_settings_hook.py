"""Settings that would fail, or do nothing, after the first validation are named at the start."""

import copy
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, LoggerHook
from mmengine.registry import EVALUATOR, METRICS, init_default_scope
from mmengine.runner import Runner
from mmocr.evaluation import MultiDatasetsEvaluator
from torch import nn

from mmocr_da.engine.hooks.settings_hook import SettingsHook, metrics_of
from mmocr_da.models.layers.replace_norm import keep_statistics_per_domain


@pytest.fixture(scope='module')
def runner(toy, tmp_path_factory):
    """The toy's runner of 2 iterations, with its loops."""
    init_default_scope('mmocr')
    work_dir = tmp_path_factory.mktemp('settings')
    cfg = Config.fromfile(toy)
    cfg.merge_from_dict(dict(work_dir=str(work_dir), experiment_name=str(work_dir)))
    runner = Runner.from_cfg(cfg)
    assert runner.train_loop and runner.val_loop
    return runner


@pytest.fixture
def start(runner, monkeypatch):
    """Checks the toy with other hooks, schedules or times of validation; returns the warnings."""
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)

    def start(hook=None, validates=True, schedule=None, **of_loop):
        changed = copy.copy(runner)
        changed._hooks = [] if hook is None else [hook]
        changed._train_loop = copy.copy(runner.train_loop)
        changed._train_loop.__dict__.update(of_loop)
        if not validates:
            changed._val_loop = None
        if schedule is not None:
            optimizer = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
            changed.optim_wrapper = optimizer
            changed.param_schedulers = changed.build_param_scheduler([schedule])
        SettingsHook().before_train(changed)
        return warnings

    return start


def best(key, rule=None):
    return CheckpointHook(by_epoch=False, save_best=key, rule=rule)


def test_a_domain_that_the_model_needs_and_the_data_lack_is_named(runner, start, monkeypatch):
    start()
    monkeypatch.setattr(runner.train_dataloader.sampler, 'counts', (0, 4))
    with pytest.raises(ValueError, match='needs images of the source, for supervised_weight=1'):
        start()


@pytest.mark.parametrize(
    'hook, options, message',
    [
        (
            best('target/recog/ce', 'less'),
            {},
            "save_best='target/recog/ce' must be a metric .* it "
            'gives source/recog/cer, .*, target/recog/cer',
        ),
        (best('recog/cer', 'less'), {}, "save_best='recog/cer' must be a metric"),
        (
            best('target/recog/cer', 'greater'),
            {},
            "rule='greater', under which the worst one of target/recog/cer is kept; "
            "set rule='less'",
        ),
        (best('source/recog/word_acc', 'less'), {}, "set rule='greater'"),
        (best('auto'), {}, "'auto' means 'source/recog/cer', .* got None; set rule='less'"),
        (best('auto', 'greater'), {}, "'greater', under which the worst one of source/recog/cer"),
        (
            best('auto', 'less'),
            dict(val_begin=3),
            'val_begin=3 is after the end of the training, 2 '
            "iterations: .* which save_best='auto' needs",
        ),
        (best('auto', 'less'), dict(validates=False), "save_best='auto' needs a validation, got a"),
        (
            EarlyStoppingHook(monitor='recog/word_acc'),
            {},
            r"EarlyStoppingHook\(monitor='recog/word_acc'\) must be a metric",
        ),
        (
            None,
            dict(schedule=dict(type='MultiStepLR', milestones=[1])),
            'got MultiStepLR with by_epoch=True, which would never take a step',
        ),
    ],
)
def test_what_cannot_work_is_an_error(start, hook, options, message):
    with pytest.raises(ValueError, match=message):
        start(hook, **options)


@pytest.mark.parametrize(
    'hook, options',
    [
        (best('target/recog/cer', 'less'), {}),
        (best('target/recog/word_acc'), {}),
        (best(['target/recog/cer', 'source/recog/ned'], ['less', 'greater']), {}),
        (EarlyStoppingHook(monitor='source/recog/word_acc'), {}),
        (None, dict(schedule=dict(type='MultiStepLR', milestones=[1], by_epoch=False))),
        (None, dict(validates=False)),
        (None, dict(val_interval=3)),
        (CheckpointHook(by_epoch=False), {}),
        (LoggerHook(interval=50), dict(_max_iters=3)),  # an epoch has 3, and is logged at its end
    ],
)
def test_what_works_is_left_alone(start, hook, options):
    assert start(hook, **options) == []


@pytest.mark.parametrize(
    'hook, options, message',
    [
        (None, dict(val_begin=3), 'val_begin=3 is after the end of the training'),
        (
            best('auto', 'less'),
            dict(val_interval=3),
            'val_interval=3 is more than the 2 iterations',
        ),
        (CheckpointHook(by_epoch=True), {}, 'no checkpoint is written before the end'),
        (LoggerHook(interval=3), {}, 'LoggerHook logs every 3 iterations'),
        (
            None,
            dict(schedule=dict(type='LinearLR', begin=2, end=9, by_epoch=False)),
            'LinearLR begins at 2 and the training ends at 2: it has no effect',
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(start, hook, options, message):
    (line,) = start(hook, **options)
    assert message in line


def test_metrics_of_others_are_not_judged(start, runner, monkeypatch):
    other = METRICS.build(dict(type='DumpResults', out_file_path='x.pkl'))
    monkeypatch.setattr(runner.val_loop.evaluator, 'metrics', [other])
    assert start(best('anything', 'less')) == []


def evaluator(*metrics, prefixes=None):
    metrics = [METRICS.build(dict(type=name)) for name in metrics]
    if prefixes:
        return MultiDatasetsEvaluator(metrics, prefixes)
    return EVALUATOR.build(dict(type='Evaluator', metrics=metrics))


def test_metrics_and_their_better_direction_are_tried_out():
    words = metrics_of(evaluator('WordMetric', 'CharMetric', 'OneMinusNEDMetric'))
    assert words == {
        f'recog/{key}': 'greater'
        for key in ('word_acc_ignore_case_symbol', 'char_recall', 'char_precision', '1-N.E.D')
    }
    assert metrics_of(evaluator('HmeanIOUMetric')) == {
        f'icdar/{key}': 'greater' for key in ('precision', 'recall', 'hmean')
    }
    ours = metrics_of(evaluator('mmocr_da.TextErrorMetric', prefixes=['a', 'b']))
    assert {key for key, better in ours.items() if better == 'less'} == {
        f'{name}/recog/{key}' for name in 'ab' for key in ('cer', 'wer', 'ted')
    }
    assert len(ours) == 16 and None not in ours.values()
    metric = METRICS.build(dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source'))
    assert len(metrics_of(MultiDatasetsEvaluator([metric], ['a']))) == 8
    assert metric.results == []


def test_statistics_per_domain_are_not_computed_again_in_backward():
    layer = keep_statistics_per_domain(nn.Sequential(nn.BatchNorm2d(2)))
    for settings in (dict(activation_checkpointing=['backbone']), {}):
        runner = SimpleNamespace(model=nn.Sequential(nn.BatchNorm2d(2)), cfg=settings)
        SettingsHook._check_repeated(runner)
        runner.model = layer
        if settings:
            with pytest.raises(ValueError, match='got activation_checkpointing in the config'):
                SettingsHook._check_repeated(runner)
        else:
            SettingsHook._check_repeated(runner)
