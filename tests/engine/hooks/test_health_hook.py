"""What the hook says, when, and that a training does not notice it."""

import copy
import functools
import json
import uuid
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from helpers.processes import run_ranks
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from mmocr_da.engine.health import Finding
from mmocr_da.engine.hooks import HealthHook, health_hook
from mmocr_da.models.objectives.gate_watch import GateWatch
from mmocr_da.models.training_watch import may_warn
from mmocr_da.registry import HOOKS

HOOK = dict(type='mmocr_da.HealthHook', max_share=1e9)
GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16)
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0)
LSED = dict(
    type='mmocr_da.LSEDLoss',
    surrogate=dict(channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3, warmup=0),
)
BOTH = (GLOBAL, LOCAL, dict(type='mmocr_da.SelfTraining', threshold=0.0))


def built(toy, work_dir, objectives=BOTH, hook=HOOK, change=lambda cfg: None):
    """A runner of the toy, with the hook unless it is None, and its log in ``runner.lines``."""
    init_default_scope('mmocr')
    cfg = Config.fromfile(toy)
    cfg.model.objectives = list(copy.deepcopy(objectives))
    cfg.custom_hooks = [] if hook is None else [hook]
    cfg.visualizer.vis_backends = []
    cfg.work_dir, cfg.experiment_name = str(work_dir), uuid.uuid4().hex
    cfg.train_cfg.val_interval = 1
    change(cfg)
    # A runner pretty-prints its config, which takes longer than the rest.
    with patch('mmengine.config.config.FormatCode', lambda text, **_: (text, True)):
        runner = Runner.from_cfg(cfg)
    runner.lines = {'info': [], 'warning': []}
    for level, lines in runner.lines.items():
        setattr(runner.logger, level, lines.append)
    return runner


@pytest.fixture
def build(toy, tmp_path):
    return functools.partial(built, toy, tmp_path)


@pytest.fixture(scope='module')
def whole(toy, tmp_path_factory):
    """A run that was measured at the start and after each of its two iterations."""
    runner = built(toy, tmp_path_factory.mktemp('whole'))
    runner.train()
    return runner


def reports(runner):
    return [line for line in runner.lines['info'] if line.startswith('Health at')]


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


# --------------------------------------------------------------------------- what and when


def test_a_report_at_the_start_and_at_each_validation(whole):
    assert [line.split(' (')[0] for line in reports(whole)] == [
        f'Health at iteration {i}' for i in range(3)
    ]
    last = reports(whole)[-1]
    assert '(6 source and 6 target images of the training;' in last
    for words in (
        'global: tells domains apart with',
        'of the task',
        'the gate passes 100% of the source',
        'self_training: kept',
        'target:',
        'source: word accuracy',
    ):
        assert words in last
    scalars = whole.message_hub.log_scalars
    assert len(scalars['health/global/domain_accuracy'].data[0]) == 3
    assert {'health/source/word_accuracy', 'health/seconds', 'health/local/gate_target'} <= set(
        scalars
    )
    assert scalars['health/local/gradient_ratio'].current() > 0


def test_a_healthy_run_is_not_warned_of(whole):
    assert not [line for line in whole.lines['warning'] if 'At iteration' in line]
    assert 'faults' not in ''.join(reports(whole))


def test_numbers_of_self_training_come_from_its_log(whole):
    scalars = whole.message_hub.log_scalars
    for key in ('kept', 'confidence', 'length', 'distinct_words'):
        logged = scalars[f'train/self_training_{key}'].data[0]
        assert (scalars[f'health/self_training/{key}'].data[0] == logged).all()
    assert scalars['health/self_training/images'].current() == 2
    assert 'self_training: kept' not in reports(whole)[0]  # nothing is logged at the start


@pytest.mark.parametrize(
    'val_loop, interval, expected',
    [(None, None, [2, 4, 6]), (None, 4, [4]), ('loop', 3, [3, 6]), ('loop', None, [])],
)
def test_without_a_validation_it_is_ten_times_or_at_an_interval(val_loop, interval, expected):
    model = nn.Module()
    model.objectives = nn.ModuleDict(dict(a=nn.Module()))
    hub = SimpleNamespace(runtime_info={})
    runner = SimpleNamespace(model=model, val_loop=val_loop, max_iters=20, iter=0, message_hub=hub)
    hook, measured = HealthHook(interval=interval, max_share=1e9), []
    with patch.object(hook, '_measure', lambda runner, i=0: measured.append(i)):
        hook.before_train(runner)
        for runner.iter in range(7):
            hook.after_train_iter(runner, 0)
        assert measured == [0, *expected]
        hook.after_val_epoch(runner)
        assert measured == [0, *expected, *[6] * (val_loop is not None and interval is None)]


def test_a_surrogate_is_compared_with_the_best_predictions_and_does_not_notice(build):
    runners = []
    for hook in (HOOK, None):
        runners.append(build([LSED], hook))
        runners[-1].train()
    with_hook, without = runners
    assert equal(weights(with_hook), weights(without))
    scalars = with_hook.message_hub.log_scalars
    assert len(scalars['health/lsed/error'].data[0]) == 3
    assert len(scalars['health/lsed/metric_change'].data[0]) == 2
    assert scalars['health/lsed/weight'].current() == 1


def test_a_plain_recognizer_has_nothing_to_look_at(build):
    runner, hook = build(objectives=()), HealthHook()
    hook.before_train(runner)
    hook.after_val_epoch(runner)
    (line,) = runner.lines['info']
    assert 'nothing to look at' in line


def test_a_data_set_that_is_not_trained_on(build, toy):
    held_out = Config.fromfile(toy).train_dataloader.dataset
    held_out.source.indices = 2
    runner, hook = build(), HealthHook(dataset=held_out, num_images=4)
    assert runner.train_loop
    hook._model = runner.model
    images = hook._load(runner)
    assert (len(images.source), len(images.target), images.origin) == (2, 4, 'dataset of the hook')


def test_testing_alone_measures_nothing(build):
    runner = build()
    HealthHook().after_val_epoch(runner)
    assert runner.lines['info'] == []


# --------------------------------------------------------------------------- the training


def test_a_training_ends_with_the_same_weights(whole, build):
    runner = build(hook=None)
    runner.train()
    assert equal(weights(whole), weights(runner)) and reports(runner) == []


def test_a_resumed_run_knows_its_start_and_ends_alike(whole, build):
    def resume(cfg):
        cfg.update(resume=True, load_from=f'{whole.work_dir}/iter_1.pth')

    resumed = build(change=resume)
    resumed.train()
    assert [line.split(' (')[0] for line in reports(resumed)] == ['Health at iteration 2']
    assert equal(weights(whole), weights(resumed))
    # The checkpoint was written before the measurement of its iteration.
    first, again = (r.message_hub.get_info('health')['first'] for r in (whole, resumed))
    keys = [k for k in first if not k.startswith('self_training/')]
    assert 'global/domain_accuracy' in keys and all(first[k] == again[k] for k in keys)


def test_labels_of_the_target_change_nothing(whole, build, toy):
    labels = json.loads((toy.parent / 'target.json').read_text())
    for data in labels['data_list']:
        data['instances'] = [dict(text='99999')]
    (toy.parent / 'wrong.json').write_text(json.dumps(labels))

    def wrong(cfg):
        cfg.train_dataloader.dataset.target.ann_file = 'wrong.json'

    runner = build(change=wrong)
    runner.train()
    for key, history in whole.message_hub.log_scalars.items():
        if key.startswith('health/') and key != 'health/seconds':
            other = runner.message_hub.log_scalars[key]
            assert (history.data[0] == other.data[0]).all(), key


def test_a_measurement_comes_when_there_is_time_for_it_and_the_log_says_so_once():
    hook, said, measured = HealthHook(max_share=0.1), [], []
    runner = SimpleNamespace(logger=SimpleNamespace(info=said.append))
    with (
        patch.object(hook, '_measure', lambda runner, i: measured.append(i)),
        patch.object(health_hook.time, 'perf_counter', lambda: now),
    ):
        hook._started, hook._spent, hook._cost = 0.0, 2.0, 1.0
        for now in (12.0, 31.9, 32.1):  # of training: 10, 29.9, 30.1
            hook._measure_if_cheap(runner, now)
    assert measured == [32.1]
    (line,) = said
    assert 'takes 1.0 s, too much for 10% of the 10 s' in line and 'Lower num_images' in line


def train_rank(rank, toy, work_dir):
    found = []
    for hook in (HOOK, None):

        def distributed(cfg):
            cfg.train_dataloader.batch_size = cfg.train_dataloader.sampler.batch_size = 2
            cfg.model_wrapper_cfg = dict(
                type='MMDistributedDataParallel', find_unused_parameters=True, device_ids=None
            )
            cfg.launcher = 'pytorch'
            cfg.train_cfg.max_iters = 1

        with patch('mmengine.runner.runner.init_dist'):
            runner = built(toy, f'{work_dir}/{rank}', hook=hook, change=distributed)
        runner.train()
        found.append((len(reports(runner)), weights(runner)))
    return found


def test_two_ranks_measure_together_and_train_the_same(toy, tmp_path):
    for (count, state), (none, plain) in run_ranks(train_rank, toy, str(tmp_path)):
        assert count == 2 and none == 0 and equal(state, plain)


# --------------------------------------------------------------------------- warnings


@pytest.fixture
def hub():
    """A message hub of its own, as each run has."""
    old = MessageHub.get_current_instance()
    new = MessageHub.get_instance(uuid.uuid4().hex)
    yield new
    MessageHub._instance_dict.move_to_end(old.instance_name)


class Log:
    def __init__(self):
        self.warnings = []
        self.logger = SimpleNamespace(warning=self.warnings.append)


FAULT = Finding('gate empty', 'gate/LocalAlignment/target', 'The gate is empty.')


def test_a_fault_is_warned_of_once_and_again_after_it_had_gone(hub):
    log, quiet = Log(), {}
    for iteration, found in enumerate([[FAULT], [FAULT], [], [FAULT], [], [], [], [], [FAULT]]):
        quiet = health_hook._warn(log, found, quiet, iteration)
    assert log.warnings == [f'At iteration {i}: The gate is empty.' for i in (0, 8)]


def test_nobody_warns_twice(hub, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmocr_da.models.objectives.gate_watch.print_log', lambda text, **_: said.append(text)
    )
    monkeypatch.setattr('mmocr_da.models.objectives.gate_watch.PATIENCE', 1)
    watch, log = GateWatch('LocalAlignment', 0.9), Log()
    health_hook._warn(log, [FAULT], {}, 1)
    watch.see(source=torch.ones(()), target=torch.zeros(()))
    assert len(log.warnings) == 1 and said == []
    watch.see(source=torch.zeros(()), target=torch.ones(()))
    assert len(said) == 1 and 'no character of the source' in said[0]
    other = FAULT._replace(key='gate/LocalAlignment/source')
    health_hook._warn(log, [other], {}, 2)
    assert len(log.warnings) == 1
    assert may_warn('surrogate', 'SurrogateWatchHook') and not may_warn('surrogate', 'HealthHook')


def test_a_run_with_an_empty_gate_is_warned_of(build):
    runner = build([dict(LOCAL, threshold=0.99)])
    runner.train()
    lines = [line for line in runner.lines['warning'] if 'At iteration' in line]
    (line,) = [line for line in lines if 'target' in line]
    assert 'At iteration 1: LocalAlignment has looked at no character of the target' in line
    assert 'faults: gate empty' in reports(runner)[-1]


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(interval=0), 'interval must be an integer of at least 1'),
        (dict(num_images=0), 'num_images must be an integer of at least 1'),
        (dict(max_share=0), 'max_share must be a number above 0'),
        (dict(dataset='folder'), 'dataset'),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        HOOKS.build({**HOOK, **options})
