"""Training stops at a loss, a gradient or a weight that is no number, and saves none of it."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample
from torch import nn

from mmocr_da.engine.hooks.finite_hook import FiniteHook


class Net(BaseModel):
    """Its loss, gradient or weight is not finite in chosen iterations."""

    def __init__(self, loss=(), gradient=(), weight=(), name='loss_ce', value=math.nan):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer('mask', torch.full((2,), -math.inf))  # as in SVTR
        self.loss, self.gradient, self.weight, self.name = loss, gradient, weight, name
        self.value = value
        self.step = 0

    def forward(self, inputs, data_samples, mode='tensor'):
        self.step += 1
        out = self.layer(torch.stack(inputs)).sum()
        if self.step in self.loss:
            out = out * self.value
        if self.step in self.gradient:
            out = out + (out * 0).clamp(min=0).sqrt()  # 0, with an infinite gradient
        if self.step in self.weight:
            self.layer.weight.data[0, 0] = math.inf
        return {self.name: out, 'loss_other': out.new_zeros(())}


def sample(i):
    out = TextRecogDataSample(gt_text=LabelData(item=f'word{i}'))
    out.set_metainfo(dict(img_path=f'{i}.png'))
    return dict(inputs=torch.ones(2), data_samples=out)


def collate(items):
    return {key: [item[key] for item in items] for key in items[0]}


def train(work_dir, model, loop='mmocr_da.ResumableIterBasedTrainLoop', hooks=(), **optim_wrapper):
    data = dict(
        dataset=[sample(i) for i in range(2)],
        batch_size=2,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=False),
        collate_fn=collate,
    )
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=data,
        train_cfg=dict(type=loop, max_iters=6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01), **optim_wrapper),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)),
        custom_hooks=list(hooks),
        default_scope='mmocr',
        experiment_name=str(work_dir),
    )
    runner.train()
    return runner


def saved(work_dir):
    return sorted(path.name for path in work_dir.glob('iter_*.pth'))


def test_the_first_loss_that_is_no_number_stops_with_its_batch(tmp_path):
    with pytest.raises(
        ValueError,
        match=r'Not finite: loss=nan, loss_ce=nan in iteration 3. The '
        r"batch: 0.png 'word0', 1.png 'word1'. Such a step",
    ) as error:
        train(tmp_path, Net(loss=(3,)))
    assert 'CTC' not in str(error.value)
    assert saved(tmp_path) == ['iter_1.pth', 'iter_2.pth']


def test_with_ctc_the_usual_cause_is_told(tmp_path):
    with pytest.raises(ValueError, match='infinite for a label that needs more frames'):
        train(tmp_path, Net(loss=(1,), name='loss_ctc', value=math.inf))
    with pytest.raises(ValueError, match='loss_ctc=nan') as error:  # of weights that diverged
        train(tmp_path, Net(loss=(1,), name='loss_ctc'))
    assert 'frames' not in str(error.value)


def test_ruined_weights_are_not_saved(tmp_path):
    """The gradient was not finite while the loss was."""
    with pytest.raises(
        ValueError,
        match=r'2 of 3 weights are not finite at iteration 2: '
        'layer.weight, layer.bias. No checkpoint of them is saved',
    ):
        train(tmp_path, Net(gradient=(2,)))
    with pytest.raises(ValueError, match='1 of 3 weights are not finite at iteration 4'):
        train(tmp_path / 'weight', Net(weight=(4,)))
    assert saved(tmp_path) == ['iter_1.pth'] and len(saved(tmp_path / 'weight')) == 3


def test_a_clipped_gradient_that_is_no_number_stops_at_once(tmp_path):
    with pytest.raises(ValueError, match='Not finite: grad_norm=(nan|inf) in iteration 2'):
        train(tmp_path, Net(gradient=(2,)), clip_grad=dict(max_norm=1))


def test_a_run_of_finite_numbers_is_left_alone(tmp_path):
    train(tmp_path, Net())
    assert len(saved(tmp_path)) == 6


def test_without_the_hook_it_would_go_on(tmp_path):
    """Or else the other tests would say nothing."""
    train(tmp_path, Net(loss=(3,)), loop='IterBasedTrainLoop')
    assert len(saved(tmp_path)) == 6
    with pytest.raises(ValueError, match='Not finite'):
        train(
            tmp_path / 'hook',
            Net(loss=(3,)),
            loop='IterBasedTrainLoop',
            hooks=[dict(type='mmocr_da.FiniteHook')],
        )


class Scaled(AmpOptimWrapper):
    """Mixed precision as far as the scaler goes; made without a GPU."""

    def __init__(self, optimizer, factor=0.5):
        super(AmpOptimWrapper, self).__init__(optimizer)
        self.loss_scaler = self
        self.scale, self.factor, self.fetched = 65536.0, factor, 0

    def get_backoff_factor(self):
        return 0.5

    def get_scale(self):
        self.fetched += 1
        return self.scale


class FakeRunner:
    """What the hook asks of a runner."""

    def __init__(self, factor=1.0):
        parameter = nn.Parameter(torch.ones(1))
        self.optim_wrapper = Scaled(torch.optim.SGD([parameter], lr=1), factor)
        self.iter, self.warnings = 0, []
        self.logger = self
        self.message_hub = self
        self.log_scalars = {}

    def warning(self, line):
        self.warnings.append(line)

    def step(self, hook, loss):
        hook.after_train_iter(self, self.iter, dict(data_samples=[]), dict(loss=torch.tensor(loss)))
        self.optim_wrapper.scale *= self.optim_wrapper.factor
        self.iter += 1


def test_mixed_precision_skips_steps_and_only_a_row_of_them_stops():
    hook, runner = FiniteHook(patience=3), FakeRunner()
    for loss in (math.nan, math.nan, 1.0, math.inf, math.inf, 1.0):
        runner.step(hook, loss)
    assert len(runner.warnings) == 2 and '3 of them in a row stop the run' in runner.warnings[0]
    runner.step(hook, math.nan)
    runner.step(hook, math.nan)
    with pytest.raises(ValueError, match='loss=nan in iteration 9'):
        runner.step(hook, math.nan)


@pytest.mark.parametrize('factor, stops', [(0.5, True), (1.0, False), (2.0, False)])
def test_mixed_precision_that_skips_every_step_stops(factor, stops):
    """By the scale, which is fetched once in `patience` iterations."""
    hook, runner = FiniteHook(patience=4), FakeRunner(factor)
    if stops:
        with pytest.raises(ValueError, match='not finite in 4 steps in a row, .*its scale is 512'):
            for _ in range(8):
                runner.step(hook, 1.0)
    else:
        for _ in range(8):
            runner.step(hook, 1.0)
    assert runner.optim_wrapper.fetched == 2


def test_no_number_is_fetched_from_the_device_again():
    """MMEngine has fetched the losses for its log."""
    hook, runner = FiniteHook(), FakeRunner()

    class Logged:
        def current(self):
            return 1.0

    class OnDevice:
        def __float__(self):
            raise AssertionError('the host waits')

    runner.log_scalars = {'train/loss': Logged(), 'train/loss_ce': Logged()}
    hook.after_train_iter(runner, 0, {}, dict(loss=OnDevice(), loss_ce=OnDevice(), acc=OnDevice()))


@pytest.mark.parametrize('patience', [0, 1.5])
def test_patience_must_be_a_number_of_steps(patience):
    with pytest.raises(ValueError, match=f'patience must .* got {patience}'):
        FiniteHook(patience)


@pytest.mark.parametrize('accumulated', [1, 4])
def test_a_step_of_several_iterations_counts_once(accumulated, monkeypatch):
    """Its norm stays in the log until the next step."""
    hook, runner = FiniteHook(patience=3), FakeRunner()
    wrapper = runner.optim_wrapper
    monkeypatch.setattr(
        wrapper, 'should_update', lambda: (runner.iter + 1) % accumulated == 0, raising=False
    )
    norm = SimpleNamespace(current=lambda: norms[runner.iter // accumulated])
    runner.log_scalars = {'train/grad_norm': norm}
    norms = [math.inf, math.inf, 1.0, math.inf, math.inf, math.inf]
    for _ in range(6 * accumulated - 1):
        runner.step(hook, 1.0)
    with pytest.raises(ValueError, match=f'grad_norm=inf in iteration {6 * accumulated}'):
        runner.step(hook, 1.0)


def test_skipped_steps_of_several_iterations_are_seen_by_the_scale(monkeypatch):
    hook, runner = FiniteHook(patience=4), FakeRunner()
    wrapper = runner.optim_wrapper
    steps = lambda: (runner.iter + 1) % 2 == 0  # noqa: E731
    monkeypatch.setattr(wrapper, 'should_update', steps, raising=False)
    with pytest.raises(ValueError, match='not finite in 4 steps in a row'):
        for _ in range(16):
            wrapper.factor = 0.5 if steps() else 1.0
            runner.step(hook, 1.0)
