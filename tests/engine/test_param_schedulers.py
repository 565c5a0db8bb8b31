import copy
import json

import pytest
import torch
from mmengine.optim import LinearLR, MultiStepLR, OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmocr_da.engine.param_schedulers import InverseDecayLR, InverseDecayParamScheduler

OURS = 'mmocr_da.InverseDecayLR'


def make(lrs=(0.1,), momentum=0.9):
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=lr) for lr in lrs]
    return torch.optim.SGD(groups, lr=1, momentum=momentum)


def run(optimizer, schedulers, steps, name='lr'):
    """The values that ``steps`` training steps use, ``[step][group]``."""
    used = []
    for _ in range(steps):
        used.append([group[name] for group in optimizer.param_groups])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return used


def law(progress, alpha=10, beta=0.75):
    return (1 + alpha * progress) ** -beta


def test_the_law_by_hand():
    """At 0, 1/4, 1/2 and 3/4: 1, 3.5 ** -0.75, 6 ** -0.75 and 8.5 ** -0.75 times the first."""
    optimizer = make()
    used = run(optimizer, [InverseDecayLR(optimizer, end=4, by_epoch=False)], 4)
    assert used == [[pytest.approx(0.1 * f, rel=1e-4)] for f in (1, 0.390795, 0.260847, 0.200879)]


def test_at_the_end_it_is_17_percent():
    """11 ** -0.75; with alpha=15 it is 16 ** -0.75, one eighth."""
    for alpha, last in ((10, 0.165560), (15, 0.125)):
        optimizer = make([1.0])
        used = run(optimizer, [InverseDecayLR(optimizer, alpha, end=10000, by_epoch=False)], 10000)
        assert used[-1] == [pytest.approx(last, rel=1e-4)]


@pytest.mark.parametrize('alpha, beta', [(10, 0.75), (0.5, 3), (0, 0.75), (10, 0), (1e9, 1e3)])
def test_a_thousand_steps_are_the_closed_form(alpha, beta):
    optimizer = make([0.3])
    scheduler = InverseDecayLR(optimizer, alpha=alpha, beta=beta, end=1000, by_epoch=False)
    used = run(optimizer, [scheduler], 1000)
    for n, (value,) in enumerate(used):
        assert value == pytest.approx(0.3 * law(n / 1000, alpha, beta), rel=1e-6)


def test_groups_keep_their_ratios():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.objectives = nn.Linear(2, 2), nn.Linear(2, 2)

    wrapper = build_optim_wrapper(
        Net(),
        dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.1),
            paramwise_cfg=dict(
                custom_keys=dict(objectives=dict(lr_mult=5.0), bias=dict(lr_mult=0.0))
            ),
        ),
    )
    scheduler = InverseDecayLR(wrapper, end=50, by_epoch=False)
    for n in range(50):
        found = {group['lr'] / law(n / 50) for group in wrapper.param_groups}
        assert sorted(found) == pytest.approx([0, 0.1, 0.5])
        wrapper.step()
        scheduler.step()


def test_outside_its_window_nothing_changes():
    optimizer = make()
    scheduler = InverseDecayLR(optimizer, begin=3, end=7, by_epoch=False)
    used = [value for (value,) in run(optimizer, [scheduler], 12)]
    assert used[:4] == [0.1] * 4
    assert used[3:7] == pytest.approx([0.1 * law(n / 4) for n in range(4)])
    assert used[7:] == [used[6]] * 5


def test_after_a_warm_up():
    """The warm-up's last of 5 steps has the full rate, the decay starts with the step after."""
    optimizer = make()
    warm_up = LinearLR(optimizer, start_factor=0.2, begin=0, end=5, by_epoch=False)
    decay = InverseDecayLR(optimizer, begin=5, end=25, by_epoch=False)
    used = [value for (value,) in run(optimizer, [warm_up, decay], 25)]
    assert used[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert used[5:] == pytest.approx([0.1 * law(n / 20) for n in range(20)])


def test_beside_other_schedulers_the_factors_multiply():
    optimizer = make()
    schedulers = [
        LinearLR(optimizer, start_factor=0.5, begin=0, end=3, by_epoch=False),
        InverseDecayLR(optimizer, end=20, by_epoch=False),
        MultiStepLR(optimizer, milestones=[10], gamma=0.1, by_epoch=False),
    ]
    used = [value for (value,) in run(optimizer, schedulers, 20)]
    others = [0.5, 0.75] + [1] * 8 + [0.1] * 10
    assert used == pytest.approx([0.1 * f * law(n / 20) for n, f in enumerate(others)])


@pytest.mark.parametrize('stopped', [1, 7, 12])
def test_a_resumed_run_has_exactly_the_same_rates(stopped, tmp_path):
    def build():
        optimizer = make([0.1, 0.5])
        return optimizer, [
            LinearLR(optimizer, start_factor=0.1, end=4, by_epoch=False),
            InverseDecayLR(optimizer, begin=4, end=20, by_epoch=False),
        ]

    whole = run(*build(), 20)
    optimizer, schedulers = build()
    first = run(optimizer, schedulers, stopped)
    torch.save([x.state_dict() for x in (optimizer, *schedulers)], tmp_path / 'state.pth')
    again, fresh = build()
    for x, state in zip((again, *fresh), torch.load(tmp_path / 'state.pth')):
        x.load_state_dict(state)
    assert first + run(again, fresh, 20 - stopped) == whole


def test_epochs_converted_to_iterations_agree_where_epochs_start():
    cfg = dict(type=OURS, begin=2, end=6)
    by_epoch, by_iter = make(), make()
    epochs = PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=by_epoch, epoch_length=5))
    iters = PARAM_SCHEDULERS.build(
        dict(cfg, convert_to_iter_based=True), default_args=dict(optimizer=by_iter, epoch_length=5)
    )
    assert (epochs.by_epoch, epochs.begin, epochs.end) == (True, 2, 6)
    assert (iters.by_epoch, iters.begin, iters.end) == (False, 10, 30)
    used = [value for (value,) in run(by_iter, [iters], 30)]
    assert used[::5] == pytest.approx([value for (value,) in run(by_epoch, [epochs], 6)])
    assert used[10:] == pytest.approx([0.1 * law(n / 20) for n in range(20)])


def test_any_parameter_of_a_wrapped_optimizer():
    wrapper = OptimWrapper(make(momentum=0.8))
    cfg = dict(type='mmocr_da.InverseDecayParamScheduler', param_name='momentum', end=2)
    scheduler = PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=wrapper, epoch_length=1))
    used = run(wrapper, [scheduler], 2, 'momentum')
    assert used == [[0.8], [pytest.approx(0.8 * 0.260847, rel=1e-4)]]
    assert wrapper.param_groups[0]['lr'] == 0.1


@pytest.fixture
def train(toy, run_tool, tmp_path):
    """Trains the toy with one scheduler for 2 iterations and returns the two logged rates."""

    def train(**scheduler):
        config = tmp_path / 'decay.py'
        config.write_text(
            f"_base_ = '{toy}'\nval_dataloader = val_evaluator = val_cfg = None\n"
            f'param_scheduler = [{scheduler!r}]\n'
        )
        run_tool('train', config, '--work-dir', tmp_path / 'run')
        (file,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
        return [json.loads(line)['lr'] for line in file.read_text().splitlines()]

    return train


def test_in_a_training_the_end_is_that_of_the_training(train):
    """2 iterations: 0.1 and, at p = 1/2, 0.1 * 6 ** -0.75."""
    assert train(type=OURS, by_epoch=False) == pytest.approx([0.1, 0.0260847], rel=1e-4)


def test_without_an_end_it_is_an_error_that_says_what_to_set():
    with pytest.raises(ValueError, match='InverseDecayLR needs end, .* set it to the iterations'):
        InverseDecayLR(make())
    with pytest.raises(ValueError, match='InverseDecayLR needs end'):
        InverseDecayLR.build_iter_from_epoch(make(), epoch_length=3)


def test_a_window_of_one_step_warns_and_changes_nothing(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmocr_da.engine.param_schedulers.print_log', lambda line, **_: lines.append(line)
    )
    optimizer = make()
    assert run(optimizer, [InverseDecayLR(optimizer, end=1)], 3) == [[0.1]] * 3
    assert len(lines) == 1 and 'set by_epoch=False' in lines[0]


@pytest.mark.parametrize('value', [-0.1, float('nan'), float('inf'), '10', None, True])
@pytest.mark.parametrize('name', ['alpha', 'beta'])
def test_a_bad_constant_is_an_error(name, value):
    optimizer = make()
    before = copy.deepcopy(optimizer.param_groups)
    with pytest.raises(ValueError, match=f'{name} must be a number of at least 0, got'):
        InverseDecayParamScheduler(optimizer, 'lr', end=10, **{name: value})
    assert optimizer.param_groups == before
