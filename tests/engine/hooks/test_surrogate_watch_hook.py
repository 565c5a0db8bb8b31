"""A surrogate in a file of its own, a warning when it misleads, and runs that are killed."""

import json
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmocr_da.engine.hooks import SurrogateExportHook, SurrogateWatchHook
from mmocr_da.engine.model_parts import find_surrogate
from mmocr_da.models.surrogates import LearnedSurrogate

SMALL = dict(channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3, warmup=0)
TUNING = """
_base_ = './toy.py'
model = dict(_delete_=True, **{{**_base_.model, 'supervised_weight': 0, 'objectives': [
    dict(type='mmocr_da.LSEDLoss', surrogate=dict({options}))]}})
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(_delete_=True, **{{**_base_.source, 'pipeline': _base_.train_pipeline}}))
train_cfg = dict(max_iters={max_iters}, val_interval=100)
default_hooks = dict(checkpoint=dict(interval=2))
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'),
                dict(type='mmocr_da.SurrogateWatchHook', window=2)]
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3),
                     paramwise_cfg=dict(custom_keys=dict(objectives=dict(lr_mult=10.0))))
"""


@pytest.fixture
def tuning(toy):
    """Writes a config that tunes the toy's recognizer, on labelled images without a domain."""

    def make(name, max_iters=4, **options):
        options = ', '.join(f'{k}={v!r}' for k, v in {**SMALL, **options}.items())
        path = toy.parent / f'{name}.py'
        path.write_text(TUNING.format(max_iters=max_iters, options=options))
        return path

    return make


def saved(path):
    return torch.load(path, map_location='cpu', weights_only=False)


def test_the_surrogate_has_a_file_of_its_own(tuning, run_tool, tmp_path):
    run_tool('train', tuning('tune'), '--work-dir', tmp_path)
    whole, alone = saved(tmp_path / 'iter_4.pth'), saved(tmp_path / 'surrogate_iter_4.pth')
    prefix = 'objectives.lsed.surrogate.'
    inside = {k[len(prefix) :]: v for k, v in whole['state_dict'].items() if k.startswith(prefix)}
    assert inside.keys() == alone['state_dict'].keys() and inside
    assert all(torch.equal(v, alone['state_dict'][k]) for k, v in inside.items())
    assert alone['meta']['surrogate'] == dict(
        kind='EditDistanceSurrogate',
        classes=[*'0123456789', '<BOS/EOS>', '<PAD>', '<UKN>'],
        max_length=8,
        channels=[4] * 5,
        hidden_channels=8,
        out_channels=4,
    )
    assert torch.load(tmp_path / 'surrogate_iter_2.pth', weights_only=True)  # nothing but tensors

    # In this folder, another training that takes it would write over it.
    again = tuning('again', checkpoint=str(tmp_path / 'surrogate_iter_4.pth'))
    with pytest.raises(ValueError, match='surrogate_iter_4.pth is an input of this command'):
        run_tool('train', again, '--work-dir', tmp_path)
    # Another training takes it, and leaves it as it is where it does not learn.
    again = tuning('again', surrogate_steps=0, checkpoint=str(tmp_path / 'surrogate_iter_4.pth'))
    run_tool('train', again, '--work-dir', tmp_path / 'again')
    used = saved(tmp_path / 'again' / 'surrogate_iter_4.pth')['state_dict']
    assert all(torch.equal(v, alone['state_dict'][k]) for k, v in used.items())
    tuned = saved(tmp_path / 'again' / 'iter_4.pth')['state_dict']
    assert any(not torch.equal(v, whole['state_dict'][k]) for k, v in tuned.items())


def test_the_log_has_the_numbers_of_both_kinds_of_steps(tuning, run_tool, tmp_path):
    run_tool('train', tuning('log'), '--work-dir', tmp_path)
    (log,) = tmp_path.glob('*/vis_data/scalars.json')
    shown = set().union(*(json.loads(line) for line in log.read_text().splitlines()))
    assert {
        'loss_lsed',
        'loss_lsed_fit',
        'loss_lsed_gradient',
        'lsed_error_model',
        'lsed_error_generated',
        'lsed_rank_correlation',
        'lsed_ted',
        'lsed_estimated_ted',
    } <= shown


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    'killed_at, options',
    [
        (3, dict(surrogate_steps=2, model_steps=1)),
        (4, dict(surrogate_steps=2, model_steps=1)),
        (3, dict(alternate=False, warmup=1)),
    ],
)
def test_a_killed_run_ends_as_if_it_had_not_been(tuning, run_tool, tmp_path, killed_at, options):
    """Also in the middle of a cycle: phase, pairs, both optimizers' states and images resume."""
    config = tuning('resumed', max_iters=6, **options)
    run_tool('train', config, '--work-dir', tmp_path / 'whole')

    def kill(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == killed_at:
            raise Killed

    with (
        patch.object(SurrogateWatchHook, 'before_train_iter', kill, create=True),
        pytest.raises(Killed),
    ):
        run_tool('train', config, '--work-dir', tmp_path / 'killed')
    run_tool('train', config, '--work-dir', tmp_path / 'killed', '--resume')
    whole, resumed = (saved(tmp_path / folder / 'iter_6.pth') for folder in ('whole', 'killed'))
    assert all(torch.equal(v, resumed['state_dict'][k]) for k, v in whole['state_dict'].items())


def test_broken_lexicons_and_checkpoints_stop_before_training(tuning, run_tool, tmp_path):
    (tmp_path / 'words.txt').write_text('abc\n')
    config = tuning('lexicon', lexicon=str(tmp_path / 'words.txt'))
    with pytest.raises(ValueError, match='lexicon must have words of the dictionary'):
        run_tool('train', config, '--work-dir', tmp_path / 'a')
    torch.save(dict(state_dict={}), tmp_path / 'other.pth')
    config = tuning('other', checkpoint=str(tmp_path / 'other.pth'))
    with pytest.raises(ValueError, match='a file that SurrogateExportHook wrote'):
        run_tool('train', config, '--work-dir', tmp_path / 'b')


# --------------------------------------------------------------------------- the warning


class Metric(LearnedSurrogate):
    def __init__(self, **options):
        super().__init__(**options)
        self.embedding = nn.Linear(1, 1)


def watch(estimates, values, window=10):
    """What is warned of when the model's steps have these means."""
    model, runner = Metric(), MagicMock()
    hook = SurrogateWatchHook(window)
    hook.before_train(SimpleNamespace(model=model))
    for runner.iter, (estimate, value) in enumerate(zip(estimates, values)):
        model.latest = torch.tensor(estimate), torch.tensor(value)
        hook.after_train_iter(runner, 0)
        hook.after_train_iter(runner, 0)  # a step of the surrogate: nothing new
    return [call.args[0] for call in runner.logger.warning.call_args_list]


FALLING, RISING = ([*np.full(10, a), *np.full(10, b)] for a, b in ((2.0, 1.0), (3.0, 4.0)))


def test_a_surrogate_that_misleads_is_reported():
    (message,) = watch(FALLING, RISING)
    assert 'misleads the model at iteration 20' in message
    assert 'went from 2 to 1, while the true metric rose from 3 to 4' in message


@pytest.mark.parametrize(
    'estimates, values',
    [(FALLING, FALLING), (RISING, RISING), (RISING, FALLING), (FALLING, np.full(20, 3.0))],
)
def test_one_that_serves_is_not(estimates, values):
    assert not watch(estimates, values)


def test_chance_is_no_reason():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (2, 400))
    assert not watch(3 + noise[0], 3 + noise[1], window=100)
    falling = 3 + noise[0] - np.repeat([0, 0, 0, 1], 100)
    rising = 3 + noise[1] + np.repeat([0, 0, 0, 1], 100)
    assert len(watch(falling, rising, window=100)) == 1


# --------------------------------------------------------------------------- bad input


def test_a_model_without_a_surrogate_is_refused():
    for hook in (SurrogateExportHook(), SurrogateWatchHook()):
        with pytest.raises(ValueError, match='got a Linear with 0; remove the hook'):
            hook.before_train(SimpleNamespace(model=nn.Linear(1, 1)))
    with pytest.raises(ValueError, match='with 2'):
        find_surrogate(nn.ModuleList([Metric(), Metric()]))


def test_several_processes_need_unused_parameters(tmp_path):
    torch.distributed.init_process_group('gloo', f'file://{tmp_path}/init', rank=0, world_size=1)
    try:
        from mmengine.model import MMDistributedDataParallel

        both = dict(alternate=False)
        for unused, options in (
            (True, {}),
            (False, {}),
            (False, both),
            (False, dict(both, warmup=1)),
        ):
            model = MMDistributedDataParallel(Metric(**options), find_unused_parameters=unused)
            if unused or options == both:
                SurrogateWatchHook().before_train(SimpleNamespace(model=model))
            else:
                with pytest.raises(ValueError, match='find_unused_parameters = True in the config'):
                    SurrogateWatchHook().before_train(SimpleNamespace(model=model))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize('window', [1, 2.5, None])
def test_a_window_needs_two_steps(window):
    with pytest.raises(ValueError, match=rf'at least 2 \(steps\), got {window}'):
        SurrogateWatchHook(window)


def test_the_toy_is_what_this_file_takes_it_for(tuning):
    cfg = Config.fromfile(tuning('check'))
    assert cfg.train_dataloader.dataset.type == 'OCRDataset'
    assert cfg.train_cfg.type == 'mmocr_da.ResumableIterBasedTrainLoop'
