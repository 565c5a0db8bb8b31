"""Weights of an encoder stay frozen while the rest of the model trains."""

import copy
import re
from unittest.mock import patch

import pytest
import torch
from helpers.part_runs import Net, collate, make_runner, weights_of
from helpers.processes import run_ranks
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmocr_da.engine.hooks import FreezeHook
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm2d
from mmocr_da.registry import MODELS


@pytest.fixture
def pretrained(tmp_path):
    path = tmp_path / 'encoder.pth'
    torch.manual_seed(8)
    weights = Net().state_dict()
    weights['backbone.1.running_mean'] += 1
    weights = {key: value for key, value in weights.items() if key.startswith('backbone.')}
    torch.save(dict(meta={}, state_dict=weights), path)
    return path


FREEZE = dict(type='mmocr_da.FreezeHook', modules=['backbone'])
LOOPS = [
    dict(type='IterBasedTrainLoop', max_iters=4),
    dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=4),
    dict(type='EpochBasedTrainLoop', max_epochs=1),
]


@pytest.mark.parametrize('loop', LOOPS, ids=lambda loop: loop['type'])
def test_weights_and_statistics_stay_bit_for_bit_and_the_rest_trains(tmp_path, pretrained, loop):
    sampler = 'DefaultSampler' if 'max_epochs' in loop else 'InfiniteSampler'
    # Validation puts the model in evaluation mode in between, a loop all of it in training mode.
    runner = make_runner(
        tmp_path / 'run',
        [FREEZE],
        load_from=str(pretrained),
        sampler=sampler,
        train_cfg=dict(loop, val_interval=1),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=Evaluator([]),
        val_dataloader=dict(
            dataset=[torch.zeros(1, 4, 4)],
            batch_size=1,
            collate_fn=collate,
            sampler=dict(type='DefaultSampler'),
        ),
    )
    # A gradient from before, which an optimizer would still follow.
    for parameter in runner.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    loaded = weights_of(pretrained)
    for key, value in runner.model.state_dict().items():
        if key.startswith('backbone.'):
            assert torch.equal(value, loaded[key]), key
        else:
            assert not torch.equal(value, before[key]), key
    assert runner.model.modes == [(True, False, False)] * 4


def test_without_the_hook_they_move(tmp_path, pretrained):
    """Or else the test above would say nothing."""
    runner = make_runner(tmp_path / 'run', [], load_from=str(pretrained))
    runner.train()
    loaded, after = weights_of(pretrained), runner.model.state_dict()
    assert not any(torch.equal(after[key], value) for key, value in loaded.items())
    assert set(runner.model.modes) == {(True, True, True)}


def test_parts_are_named_or_matched(tmp_path):
    runner = make_runner(tmp_path, [dict(FREEZE, modules=['backbone.[01]', 'decoder.0'])])
    runner.train()
    frozen = {
        name for name, parameter in runner.model.named_parameters() if not parameter.requires_grad
    }
    assert frozen == {
        f'{part}.{key}'
        for part in ('backbone.0', 'backbone.1', 'decoder.0')
        for key in ('weight', 'bias')
    }
    assert runner.model.modes == [(True, False, True)] * 4
    # As one name, not as its letters.
    assert FreezeHook('backbone').modules == ('backbone',)


def test_resumed_it_still_is_frozen(tmp_path, pretrained):
    make_runner(tmp_path / 'run', [FREEZE], load_from=str(pretrained)).train()
    runner = make_runner(tmp_path / 'run', [FREEZE], max_iters=6, resume=True)
    with patch.object(runner.logger, 'warning') as warning:
        runner.train()
    assert runner.iter == 6 and len(runner.model.modes) == 2
    loaded, after = weights_of(pretrained), runner.model.state_dict()
    assert all(
        torch.equal(after[key], value)
        for key, value in loaded.items()
        if key.startswith('backbone.')
    )
    assert not [call for call in warning.call_args_list if 'RANDOM' in str(call)]


def test_momentum_of_a_run_in_which_it_moved_does_not_move_it(tmp_path):
    make_runner(tmp_path / 'run', []).train()
    before = weights_of(tmp_path / 'run/iter_4.pth')
    runner = make_runner(tmp_path / 'run', [FREEZE], max_iters=6, resume=True)
    runner.train()
    after = runner.model.state_dict()
    assert not torch.equal(before['decoder.1.weight'], after['decoder.1.weight'])
    assert all(torch.equal(after[key], before[key]) for key in after if key.startswith('backbone.'))


def test_random_weights_are_warned_of(tmp_path, pretrained):
    for name, load_from, resume in (
        ('random', None, False),
        ('loaded', str(pretrained), False),
        ('nothing to resume', None, True),
    ):
        runner = make_runner(tmp_path / name, [FREEZE], load_from=load_from, resume=resume)
        with patch.object(runner.logger, 'warning') as warning:
            runner.train()
        lines = [
            call for call in warning.call_args_list if "RANDOM weights of ['backbone']" in str(call)
        ]
        assert len(lines) == (load_from is None)


@pytest.mark.parametrize(
    'change, error',
    [
        (
            lambda weights: weights.pop('backbone.0.bias'),
            'some of them: it lacks backbone.0.bias, and',
        ),
        (
            lambda weights: weights.update({'backbone.0.bias': torch.zeros(9)}),
            r'some of them: it lacks backbone.0.bias (3,), and',
        ),
        # Of a run with another name for the backbone: MMEngine would load nothing, and go on.
        (
            lambda weights: weights.clear() or weights.update({'base.0.bias': torch.zeros(3)}),
            'none of them: it lacks backbone.0.weight, backbone.0.bias, backbone.1.weight, '
            'backbone.1.bias, backbone.1.running_mean and 1 more, and has base.0.bias;',
        ),
    ],
)
def test_a_checkpoint_must_have_all_weights(tmp_path, pretrained, change, error):
    weights = weights_of(pretrained)
    change(weights)
    torch.save(dict(state_dict=weights), pretrained)
    with pytest.raises(ValueError, match=re.escape(error)):
        make_runner(tmp_path / 'run', [FREEZE], load_from=str(pretrained)).train()
    make_runner(
        tmp_path / 'unchecked', [dict(FREEZE, check_loaded=False)], load_from=str(pretrained)
    ).train()


@pytest.mark.parametrize(
    'change',
    [
        lambda weights: {f'module.{key}': value for key, value in weights.items()},
        lambda weights: {key: value for key, value in weights.items() if 'num_batches' not in key},
    ],
)
def test_what_mmengine_and_pytorch_complete_is_all_there(tmp_path, pretrained, change):
    weights = change(weights_of(pretrained))
    torch.save(weights, pretrained)  # without the other entries of a checkpoint, too
    runner = make_runner(tmp_path / 'run', [FREEZE], load_from=str(pretrained))
    runner.train()
    after = runner.model.state_dict()
    for key, value in weights.items():
        assert torch.equal(after[key.replace('module.', '')], value)


def test_gates_start_on_an_encoder_with_batch_norm(tmp_path, pretrained):
    runner = make_runner(
        tmp_path / 'run', [FREEZE], Net(BatchInstanceNorm2d), load_from=str(pretrained)
    )
    runner.train()
    assert torch.equal(runner.model.backbone[1].rho, torch.ones(3))


def test_a_decoder_keeps_its_teacher_and_an_rnn_its_gradient(recognizer_cfg, tmp_path, batch):
    model = MODELS.build(recognizer_cfg())
    model.decoder.register_module('dropout', nn.Dropout())
    model.encoder.register_module('deep', nn.LSTM(2, 2, num_layers=2, dropout=0.1))
    hook = FreezeHook(['encoder', 'decoder'])
    runner = make_runner(tmp_path, [])
    runner._train_loop, runner.model = runner.build_train_loop(runner._train_loop), model
    hook.before_run(runner)
    model.train()
    hook.before_train_iter(runner, 0)
    training = {name for name, module in model.named_modules() if module.training}
    rnns = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.RNNBase) and name != 'encoder.deep'
    }
    outside = {name for name in training if not name.startswith(('encoder', 'decoder'))}
    assert rnns and 'backbone' in outside and training - outside == {'decoder', *rnns}
    # A decoder in evaluation mode would give the same loss for every text.
    losses = [model.loss(**batch(texts, targets=0)) for texts in (('12', '34'), ('12', '99'))]
    assert losses[0]['loss_ce'] != losses[1]['loss_ce']
    losses[0]['loss_ce'].backward()
    assert all(p.grad is not None for p in model.backbone.parameters())


def test_only_training_freezes(tmp_path, pretrained):
    runner = make_runner(
        tmp_path / 'run',
        [FREEZE],
        test_cfg=dict(type='TestLoop'),
        load_from=str(pretrained),
        test_evaluator=Evaluator([]),
        test_dataloader=dict(
            dataset=[torch.zeros(1, 4, 4)],
            batch_size=1,
            collate_fn=collate,
            sampler=dict(type='DefaultSampler'),
        ),
    )
    torch.save(dict(state_dict={}), pretrained)  # nothing frozen, nothing to check
    runner.test()
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_bad_freezing(tmp_path):
    with pytest.raises(ValueError, match="got 'neck', which matches none; its parts are .*decoder"):
        make_runner(tmp_path, [dict(FREEZE, modules=['neck'])]).train()
    with pytest.raises(ValueError, match='leave something to train'):
        make_runner(tmp_path, [dict(FREEZE, modules=['*'])]).train()
    for modules in ([], None, '', [1]):
        with pytest.raises(ValueError, match='modules must be names of modules'):
            FreezeHook(modules)
    runner = make_runner(tmp_path, [dict(FREEZE)])
    runner.model = nn.DataParallel(Net())
    with pytest.raises(ValueError, match='got a DataParallel'):
        runner.call_hook('before_run')
        FreezeHook._wrap_again(runner)


class Look(Hook):
    """Sees the model as other hooks do."""

    def before_run(self, runner):
        self.model = runner.model


def train_of_rank(rank, folder, pretrained):
    look = Look()
    runner = make_runner(
        folder / 'run',
        [look, FREEZE, dict(type='mmocr_da.EncoderExportHook', modules=['decoder'])],
        load_from=str(pretrained),
        launcher='pytorch',
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None
            )
        ),
    )
    inner = runner.model.module
    runner.train()
    assert is_model_wrapper(runner.model) and runner.model.module is inner
    assert look.model is runner.model
    return inner.state_dict()


def test_two_processes_do_not_wait_for_gradients_of_what_is_frozen(tmp_path, pretrained):
    results = run_ranks(train_of_rank, tmp_path, pretrained)
    for key, value in weights_of(pretrained).items():
        if key.startswith('backbone.'):
            assert torch.equal(results[0][key], value) and torch.equal(results[1][key], value)
    # They still average their gradients, and train.
    torch.manual_seed(3)
    for key in ('decoder.1.weight', 'decoder.1.bias'):
        assert torch.equal(results[0][key], results[1][key])
        assert not torch.equal(results[0][key], Net().state_dict()[key])
    exported = weights_of(tmp_path / 'run/encoder_iter_4.pth')
    assert torch.equal(exported['decoder.1.weight'], results[0]['decoder.1.weight'])
