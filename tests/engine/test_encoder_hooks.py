"""Weights of an encoder: in a file of their own with each checkpoint, and held still."""

import copy
import os
import re
from unittest.mock import MagicMock, patch

import pytest
import torch
from helpers.processes import run_ranks
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmocr_da.engine.encoder_hooks import EncoderExportHook, FreezeHook
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm2d
from mmocr_da.outputs import output_file
from mmocr_da.registry import MODELS
from mmocr_da.version import __version__


class Net(BaseModel):
    """Convolution, norm and dropout as backbone, a decoder, and a head that is thrown away."""

    encoder_modules = ('backbone',)

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 3, 2), norm(3), nn.Dropout(0.5))
        self.decoder = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
        self.backbone_of_another = nn.Linear(1, 1)
        self.modes = []

    def forward(self, inputs, mode='tensor'):
        if mode == 'predict':
            return inputs
        self.modes.append((self.training, self.backbone[1].training, self.backbone[2].training))
        head = self.backbone_of_another.weight.sum() + self.backbone_of_another.bias.sum()
        features = self.decoder(self.backbone(torch.stack(inputs)))
        return dict(loss=(features.square().mean() - 2).square() + head.square())


def collate(items):
    return dict(inputs=items)


def make_runner(work_dir, hooks, model=None, max_iters=4, train_cfg=None, **kwargs):
    torch.manual_seed(3)
    data = dict(
        dataset=[torch.randn(1, 4, 4) for _ in range(8)],
        batch_size=2,
        num_workers=0,
        sampler=dict(type=kwargs.pop('sampler', 'InfiniteSampler'), shuffle=False),
        collate_fn=collate,
    )
    checkpoint = dict(type='CheckpointHook', interval=2, by_epoch=False)
    checkpoint.update(kwargs.pop('checkpoint', {}))
    return Runner(
        model or Net(),
        str(work_dir),
        train_dataloader=data,
        train_cfg=train_cfg or dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), checkpoint=checkpoint),
        log_processor=dict(by_epoch=False),
        custom_hooks=hooks,
        default_scope='mmocr',
        experiment_name=f'{work_dir.parent.name} {work_dir.name}',
        **kwargs,
    )


def weights_of(path):
    return torch.load(path, weights_only=True)['state_dict']


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


EXPORT = dict(type='mmocr_da.EncoderExportHook')


def test_each_checkpoint_comes_with_the_encoder_alone(tmp_path):
    make_runner(tmp_path, [EXPORT]).train()
    for i in (2, 4):
        whole = weights_of(tmp_path / f'iter_{i}.pth')
        exported = torch.load(tmp_path / f'encoder_iter_{i}.pth', weights_only=True)
        assert exported['meta']['iter'] == i and exported['meta']['modules'] == ['backbone']
        assert exported['meta']['mmocr_da_version'] == __version__
        assert {'time', 'mmengine_version'} <= exported['meta'].keys() and len(exported) == 2
        assert 'cfg' not in exported['meta']
        assert equal(
            exported['state_dict'],
            {key: value for key, value in whole.items() if key.startswith('backbone.')},
        )
        # Norms of PyTorch take weights without a version for ones from before there were versions.
        assert exported['state_dict']._metadata['backbone.1'] == dict(version=2)
        assert exported['state_dict']._metadata.keys() == {
            'backbone',
            *(f'backbone.{i}' for i in range(3)),
        }
    assert not equal(weights_of(tmp_path / 'encoder_iter_2.pth'), exported['state_dict'])
    # Tools that look for the last checkpoint of a run do not take it for one.
    assert (tmp_path / 'last_checkpoint').read_text().endswith('/iter_4.pth')


def test_the_last_few_are_kept_and_other_files_left_alone(tmp_path):
    for name in (
        'encoder_iter_09.txt',
        'encoder_iter_12.pth',
        'encoder_epoch_1.pth',
        'iter_1.pth.bak',
    ):
        (tmp_path / name).touch()
    for name in ('encoder_iter_1.pth', 'encoder_iter_2.pth'):  # of an earlier run
        with output_file(tmp_path / name, 'EncoderExportHook') as path:
            path.touch()
    make_runner(
        tmp_path,
        [dict(EXPORT, max_keep=2)],
        max_iters=10,
        checkpoint=dict(interval=1, max_keep_ckpts=1),
    ).train()
    # By number, not by letter: 9 and 10. What a longer run left behind is not older.
    assert {path.name for path in tmp_path.glob('*[htk]')} == {
        'encoder_iter_9.pth',
        'encoder_iter_10.pth',
        'encoder_iter_12.pth',
        'encoder_iter_09.txt',
        'encoder_epoch_1.pth',
        'iter_1.pth.bak',
        'iter_10.pth',
        'last_checkpoint',
    }


def test_a_file_of_the_user_stops_the_run_before_it_begins(tmp_path):
    mine = tmp_path / 'encoder_iter_4.pth'
    mine.write_text('mine')
    with pytest.raises(ValueError, match='encoder_iter_4.pth exists and was not written by Enc'):
        make_runner(tmp_path, [EXPORT]).train()
    assert mine.read_text() == 'mine' and not (tmp_path / 'iter_2.pth').exists()
    # Not reached, or passed already: it is in nobody's way, and not one of the last to keep.
    mine.rename(tmp_path / 'encoder_iter_1.pth')
    runner = make_runner(tmp_path, [dict(EXPORT, max_keep=1)])
    runner.train_loop._iter = 1
    runner.train()
    assert (tmp_path / 'encoder_iter_1.pth').read_text() == 'mine'


def test_what_a_run_starts_from_is_not_overwritten(tmp_path):
    make_runner(tmp_path, [EXPORT]).train()
    start = tmp_path / 'encoder_iter_4.pth'
    before = start.read_bytes()
    with pytest.raises(ValueError, match='encoder_iter_4.pth is an input of this command'):
        make_runner(tmp_path, [EXPORT], load_from=str(start)).train()
    assert start.read_bytes() == before
    # The same training again may replace what it wrote.
    make_runner(tmp_path, [EXPORT]).train()


def test_parts_can_be_named(tmp_path):
    make_runner(tmp_path, [dict(EXPORT, modules=['decoder.1', 'back*.1'])]).train()
    assert weights_of(tmp_path / 'encoder_iter_4.pth').keys() == {
        'decoder.1.weight',
        'decoder.1.bias',
        *(
            f'backbone.1.{key}'
            for key in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
        ),
    }


def test_in_epochs_it_is_named_by_the_epoch(tmp_path):
    make_runner(
        tmp_path,
        [EXPORT],
        checkpoint=dict(interval=1, by_epoch=True),
        sampler='DefaultSampler',
        train_cfg=dict(by_epoch=True, max_epochs=2),
    ).train()
    names = sorted(path.name for path in tmp_path.glob('encoder*'))
    assert names == ['encoder_epoch_1.pth', 'encoder_epoch_2.pth']
    for i in (1, 2):
        whole, part = (weights_of(tmp_path / f'{name}epoch_{i}.pth') for name in ('', 'encoder_'))
        assert equal(part, {key: whole[key] for key in whole if key.startswith('backbone.')})


@pytest.mark.parametrize('priority', ['NORMAL', 'VERY_LOW'])
def test_with_a_moving_average_it_is_the_average(tmp_path, priority):
    ema = dict(type='EMAHook', momentum=0.3, priority=priority)
    make_runner(tmp_path, [EXPORT, ema]).train()
    whole = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    exported = weights_of(tmp_path / 'encoder_iter_4.pth')
    assert all(torch.equal(value, whole['state_dict'][key]) for key, value in exported.items())
    trained = whole['ema_state_dict']['module.backbone.0.weight']
    assert not torch.equal(exported['backbone.0.weight'], trained)


def test_a_second_checkpoint_of_an_iteration_writes_nothing(tmp_path):
    """The best one."""
    runner = make_runner(tmp_path, [])
    hook = EncoderExportHook()
    hook.before_train(runner)

    def save(iteration, value):
        # A view of something large: only what is seen is written.
        weight = torch.full((300, 1000), value)[:, 0]
        hook.before_save_checkpoint(
            runner,
            dict(meta=dict(iter=iteration, epoch=0), state_dict={'backbone.0.weight': weight}),
        )
        path = tmp_path / f'encoder_iter_{iteration}.pth'
        assert path.stat().st_size < 10000
        return weights_of(path)['backbone.0.weight'][0]

    with patch('os.replace', wraps=os.replace) as replace:
        assert [save(3, 1.0), save(3, 2.0), save(6, 3.0)] == [1, 1, 3]
    assert sum(str(call.args[1]).endswith('.pth') for call in replace.call_args_list) == 2


def test_a_run_killed_while_writing_leaves_no_half_file(tmp_path):
    runner = make_runner(tmp_path, [])
    hook = EncoderExportHook()
    hook.before_train(runner)

    def killed(content, path):
        with open(path, 'w') as file:
            file.write('half')
        raise KeyboardInterrupt

    with patch('torch.save', killed), pytest.raises(KeyboardInterrupt):
        hook.before_save_checkpoint(runner, dict(meta=dict(iter=3), state_dict={}))
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('crnn', [False, True])
def test_a_recognizer_of_mmocr_takes_the_file(recognizer_cfg, digits_dictionary, tmp_path, crnn):
    cfg = recognizer_cfg()
    if crnn:
        cfg.update(
            encoder=None,
            decoder=dict(
                type='CRNNDecoder',
                in_channels=16,
                rnn_flag=True,
                module_loss=dict(type='CTCModuleLoss'),
                postprocessor=dict(type='CTCPostProcessor'),
                dictionary=dict(
                    digits_dictionary, with_start=False, with_end=False, same_start_end=False
                ),
            ),
        )
    model = MODELS.build(dict(cfg, type='mmocr_da.SeqCLR'))
    hook = EncoderExportHook()
    runner = make_runner(tmp_path, [])
    runner.model = model
    hook.before_train(runner)
    hook.before_save_checkpoint(runner, dict(meta=dict(iter=7), state_dict=model.state_dict()))
    recognizer = MODELS.build(cfg)
    before = copy.deepcopy(recognizer.state_dict())
    load_checkpoint(recognizer, str(tmp_path / 'encoder_iter_7.pth'))
    after = recognizer.state_dict()
    parts = ('decoder.decoder.0', 'decoder.decoder.1.rnn') if crnn else ('encoder',)
    for part in ('backbone', *parts):
        ours, theirs = (m.get_submodule(part).state_dict() for m in (model, recognizer))
        assert equal(ours, theirs)
    others = {
        key: value
        for key, value in after.items()
        if not key.startswith(('backbone.', *(f'{part}.' for part in parts)))
    }
    assert others and all(torch.equal(before[key], value) for key, value in others.items())
    # And its weights differed, or the equality would say nothing.
    assert any(not torch.equal(before[key], value) for key, value in after.items())


def test_bad_exports(tmp_path):
    with pytest.raises(ValueError, match="got 'neck', which matches none; its parts are .*decoder"):
        make_runner(tmp_path, [dict(EXPORT, modules=['backbone', 'neck'])]).train()
    for max_keep in (0, 1.5):
        with pytest.raises(ValueError, match='max_keep must be a number of files'):
            EncoderExportHook(max_keep=max_keep)
    runner = MagicMock(model=nn.Linear(1, 1))
    with pytest.raises(ValueError, match='needs modules for a Linear'):
        EncoderExportHook().before_train(runner)


# What stands still.


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


def test_resumed_it_still_stands_still(tmp_path, pretrained):
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
            call for call in warning.call_args_list if "['backbone'] at RANDOM weights" in str(call)
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
        FreezeHook._wrap_anew(runner)


class Look(Hook):
    """Sees the model as other hooks do."""

    def before_run(self, runner):
        self.model = runner.model


def train_of_rank(rank, folder, pretrained):
    look = Look()
    runner = make_runner(
        folder / 'run',
        [look, FREEZE, dict(EXPORT, modules=['decoder'])],
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


def test_two_processes_do_not_wait_for_gradients_of_what_stands_still(tmp_path, pretrained):
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
