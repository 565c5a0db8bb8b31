import json
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend, TensorboardVisBackend, Visualizer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mmocr_da.engine.hooks import BINGateHook, bin_gate_hook
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm2d
from mmocr_da.models.objectives.teacher import Teacher

ITERATIONS = 6


class Net(BaseModel):
    """Eight gates in two layers; the k-th iteration closes the k-th gate."""

    def __init__(self, norm=BatchInstanceNorm2d):
        super().__init__()
        self.layers = nn.Sequential(norm(2), nn.Conv2d(2, 6, 1), norm(6))
        self.iterations = 0

    def forward(self, inputs, mode='tensor'):
        loss = self.layers(torch.stack(inputs)).square().mean()
        gates = [m.rho for m in self.layers if isinstance(m, BatchInstanceNorm2d)]
        if gates:
            # At most one gate of the lower layer, so that the two differ.
            layer = gates[0] if self.iterations == 0 else gates[1]
            layer.data[max(0, self.iterations - 1)] = 0.04
            self.iterations += 1
        return dict(loss=loss)


@pytest.fixture
def train(tmp_path):
    """Trains; returns the log's text and the lines of ``scalars.json``."""

    def run(
        hook=dict(interval=2),
        backends=('Local', 'Tensorboard'),
        norm=BatchInstanceNorm2d,
        custom_hooks=(),
    ):
        Visualizer._instance_dict.clear()
        data = dict(
            dataset=[torch.randn(2, 4, 4) for _ in range(4)],
            batch_size=2,
            num_workers=0,
            sampler=dict(type='InfiniteSampler', shuffle=False),
            collate_fn=lambda items: dict(inputs=items),
        )
        runner = Runner(
            Net(norm),
            str(tmp_path),
            train_dataloader=data,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=ITERATIONS),
            # The optimizer moves nothing.
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
                checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False),
            ),
            log_processor=dict(by_epoch=False),
            experiment_name=tmp_path.name,
            custom_hooks=[*custom_hooks, dict(type='mmocr_da.BINGateHook', **hook)],
            visualizer=dict(
                type='Visualizer',
                vis_backends=[dict(type=f'{name}VisBackend') for name in backends],
            ),
        )
        runner.train()
        log = next(tmp_path.glob('*/*.log')).read_text()
        lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
        return log, [json.loads(line) for line in lines]

    return run


def histograms(folder):
    """``{tag: {step: how many gates are in the first bin}}`` and the number of gates by tag."""
    events = EventAccumulator(str(next(folder.glob('*/vis_data'))), {'histograms': 0})
    events.Reload()
    closed, sizes = {}, {}
    for tag in events.Tags()['histograms']:
        for event in events.Histograms(tag):
            value = event.histogram_value
            count = dict(zip(value.bucket_limit, value.bucket))
            closed.setdefault(tag, {})[event.step] = count.get(0.05, 0)
            sizes[tag] = value.num
    return closed, sizes


def test_the_shares_are_in_the_log_every_few_iterations(train):
    log, rows = train()
    shares = [(row.get('bin_gates_below_0.1'), row.get('bin_gates_above_0.9')) for row in rows]
    # After k iterations k of 8 gates are closed and the others are as open as at the start.
    assert shares == [
        (None, None),
        (2 / 8, 6 / 8),
        (2 / 8, 6 / 8),
        (4 / 8, 4 / 8),
        (4 / 8, 4 / 8),
        (6 / 8, 2 / 8),
    ]
    assert 'bin_gates_below_0.1: 0.5000  bin_gates_above_0.9: 0.5000' in log
    assert log.count('bin_gates_below_0.1: 0.7500') == 1


def test_tensorboard_has_a_histogram_per_depth_with_each_checkpoint(train, tmp_path):
    train()
    closed, sizes = histograms(tmp_path)
    assert closed == {'bin_gates/lower': {3: 1, 6: 1}, 'bin_gates/upper': {3: 2, 6: 5}}
    assert sizes == {'bin_gates/lower': 2, 'bin_gates/upper': 6}


@pytest.mark.parametrize('ema_last', [False, True])
def test_histograms_show_what_is_trained_not_its_average(train, tmp_path, ema_last):
    train(custom_hooks=[dict(type='EMAHook', priority='VERY_LOW' if ema_last else 'VERY_HIGH')])
    assert histograms(tmp_path)[0] == {
        'bin_gates/lower': {3: 1, 6: 1},
        'bin_gates/upper': {3: 2, 6: 5},
    }
    averaged = torch.load(tmp_path / 'iter_6.pth', weights_only=False)['state_dict']
    assert (averaged['layers.2.rho'] > 0.9).all()


def test_without_tensorboard_there_are_shares_only(train, tmp_path):
    _, rows = train(backends=('Local',))
    assert rows[-1]['bin_gates_below_0.1'] == 6 / 8
    assert not list(tmp_path.rglob('events.out*'))


def test_a_model_without_gates_is_one_warning(train, tmp_path):
    log, rows = train(norm=nn.BatchNorm2d)
    assert log.count('BINGateHook has nothing to show') == 1
    assert len(rows) == ITERATIONS and not any('gates' in key for row in rows for key in row)
    assert histograms(tmp_path) == ({}, {})


def test_a_second_checkpoint_of_an_iteration_draws_nothing():
    backend = MagicMock(spec=TensorboardVisBackend)
    runner = SimpleNamespace(
        model=BatchInstanceNorm2d(4),
        visualizer=MagicMock(
            _vis_backends=dict(LocalVisBackend=MagicMock(spec=LocalVisBackend), another=backend)
        ),
    )
    hook = BINGateHook()
    hook.before_train(runner)
    for iteration in (3, 3, 6):
        hook.before_save_checkpoint(runner, dict(meta=dict(iter=iteration)))
    drawn = [call.args for call in backend.experiment.add_histogram.call_args_list]
    assert [(name, step) for name, _, step in drawn] == [('bin_gates/all', 3), ('bin_gates/all', 6)]


def mock_runner(model, iteration):
    return SimpleNamespace(
        model=model,
        iter=iteration - 1,
        logger=MagicMock(),
        message_hub=MessageHub.get_instance(f'gates{iteration}{id(model)}'),
    )


def test_gates_are_found_inside_a_wrapper_and_counted_once():
    model = nn.Sequential(BatchInstanceNorm2d(4), nn.Sequential(BatchInstanceNorm2d(2)))
    model.append(model[0])
    nn.init.zeros_(model[0].rho)
    hook = HOOKS.build(dict(type='mmocr_da.BINGateHook'))
    runner = mock_runner(nn.DataParallel(model), 50)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    shares = [
        runner.message_hub.get_scalar(f'train/bin_gates_{name}').current()
        for name in ('below_0.1', 'above_0.9')
    ]
    assert shares == pytest.approx([4 / 6, 2 / 6])


def test_gates_of_a_teacher_are_not_counted():
    model = nn.Sequential(BatchInstanceNorm2d(4))
    model.append(Teacher(model))
    nn.init.zeros_(model[0].rho)
    hook = HOOKS.build(dict(type='mmocr_da.BINGateHook'))
    runner = mock_runner(nn.DataParallel(model), 50)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    assert runner.message_hub.get_scalar('train/bin_gates_above_0.9').current() == 0


def test_nothing_is_counted_between_intervals(monkeypatch):
    monkeypatch.setattr(bin_gate_hook, 'shares', MagicMock(side_effect=AssertionError))
    hook = BINGateHook()
    for iteration in (1, 49, 51, 99):
        runner = mock_runner(nn.Sequential(BatchInstanceNorm2d(4)), iteration)
        hook.before_train(runner)
        hook.after_train_iter(runner, 0)
        assert not runner.message_hub.log_scalars


@pytest.mark.parametrize('interval', [0, -1, 2.5, None])
def test_a_bad_interval_is_an_error(interval):
    with pytest.raises(ValueError, match='interval must be an integer of at least 1'):
        BINGateHook(interval=interval)
