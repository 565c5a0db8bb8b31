"""Weights of an encoder in a file of their own with each checkpoint."""

import copy
import os
from unittest.mock import MagicMock, patch

import pytest
import torch
from helpers.part_runs import equal, make_runner, weights_of
from mmengine.runner import load_checkpoint
from torch import nn

from mmocr_da.engine.hooks import EncoderExportHook
from mmocr_da.outputs import output_file
from mmocr_da.registry import MODELS
from mmocr_da.version import __version__

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
        with pytest.raises(ValueError, match='max_keep must be an integer of at least 1'):
            EncoderExportHook(max_keep=max_keep)
    runner = MagicMock(model=nn.Linear(1, 1))
    with pytest.raises(ValueError, match='needs modules for a Linear'):
        EncoderExportHook().before_train(runner)
