"""Weights of an encoder: in a file of their own with each checkpoint, and frozen."""
import copy
import socket
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmocr_da.engine.encoder_hooks import EncoderExportHook, FreezeHook, modules_named
from mmocr_da.registry import MODELS
from mmocr_da.version import __version__


class Net(BaseModel):
    """Convolution, norm and dropout as backbone, a linear decoder."""

    encoder_modules = ('backbone', )

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Dropout(0.5))
        self.decoder = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
        self.modes = []

    def forward(self, inputs, mode='tensor'):
        self.modes.append((self.training, self.backbone[1].training, self.backbone[2].training))
        return dict(loss=self.decoder(self.backbone(torch.stack(inputs))).square().mean())


def collate(items):
    return dict(inputs=items)


def make_runner(work_dir, hooks, model=None, max_iters=4, train_cfg=None, **kwargs):
    torch.manual_seed(3)
    data = dict(dataset=[torch.randn(1, 4, 4) for _ in range(8)], batch_size=2, num_workers=0,
                sampler=dict(type='InfiniteSampler', shuffle=False), collate_fn=collate)
    checkpoint = dict(type='CheckpointHook', interval=2, by_epoch=False)
    checkpoint.update(kwargs.pop('checkpoint', {}))
    return Runner(
        model or Net(), str(work_dir), train_dataloader=data,
        train_cfg=train_cfg or dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(
            type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), checkpoint=checkpoint),
        log_processor=dict(by_epoch=False), custom_hooks=hooks, experiment_name=work_dir.name,
        default_scope='mmocr', **kwargs)


EXPORT = dict(type='mmocr_da.EncoderExportHook')


def test_each_checkpoint_comes_with_the_encoder_alone(tmp_path):
    runner = make_runner(tmp_path, [EXPORT])
    runner.train()
    for i in (2, 4):
        whole = torch.load(tmp_path / f'iter_{i}.pth', weights_only=False)['state_dict']
        exported = torch.load(tmp_path / f'encoder_iter_{i}.pth', weights_only=True)
        assert exported['meta']['iter'] == i
        assert exported['meta']['mmocr_da_version'] == __version__
        assert {k for k in whole if k.startswith('backbone.')} == exported['state_dict'].keys()
        for key, value in exported['state_dict'].items():
            assert torch.equal(value, whole[key])
    assert not list(tmp_path.glob('*.part'))
    # Tools that look for the last checkpoint of a run do not take it for one.
    assert (tmp_path / 'last_checkpoint').read_text().endswith('/iter_4.pth')


def test_only_the_last_few_are_kept_and_its_parts_can_be_named(tmp_path):
    hook = dict(EXPORT, modules=['decoder.1'], max_keep=2)
    make_runner(tmp_path, [hook], checkpoint=dict(interval=1)).train()
    assert sorted(p.name for p in tmp_path.glob('encoder_*')) == [
        'encoder_iter_3.pth', 'encoder_iter_4.pth']
    exported = torch.load(tmp_path / 'encoder_iter_4.pth')['state_dict']
    assert exported.keys() == {'decoder.1.weight', 'decoder.1.bias'}


def test_in_epochs(tmp_path):
    runner = make_runner(tmp_path, [EXPORT], checkpoint=dict(interval=1, by_epoch=True),
                         train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2))
    runner.train_loop.dataloader.sampler.size = 4
    with patch.object(type(runner.train_loop.dataloader.sampler), '__iter__',
                      lambda self: iter(range(4))):
        runner.train()
    assert (tmp_path / 'encoder_epoch_2.pth').exists()


def test_with_a_moving_average_it_is_the_average(tmp_path):
    runner = make_runner(tmp_path, [dict(type='EMAHook', momentum=0.3), EXPORT])
    runner.train()
    whole = torch.load(tmp_path / 'iter_4.pth', weights_only=False)
    exported = torch.load(tmp_path / 'encoder_iter_4.pth')['state_dict']
    for key, value in exported.items():
        assert torch.equal(value, whole['state_dict'][key])
    trained = whole['ema_state_dict']['module.backbone.0.weight']
    assert not torch.equal(exported['backbone.0.weight'], trained)


def test_a_recognizer_of_mmocr_takes_the_file(recognizer_cfg, tmp_path):
    cfg = recognizer_cfg()
    model = MODELS.build(dict(cfg, type='mmocr_da.SeqCLR'))
    hook = EncoderExportHook()
    runner = make_runner(tmp_path, [])
    runner.model = model
    hook.before_train(runner)
    hook.before_save_checkpoint(runner, dict(
        meta=dict(iter=7, epoch=0), state_dict=model.state_dict()))
    recognizer = MODELS.build(cfg)
    load_checkpoint(recognizer, str(tmp_path / 'encoder_iter_7.pth'))
    for part in ('backbone', 'encoder'):
        ours, theirs = (m.get_submodule(part).state_dict() for m in (model, recognizer))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_bad_exports(tmp_path):
    with pytest.raises(ValueError, match="got 'neck'; it has .*backbone, decoder"):
        make_runner(tmp_path, [dict(EXPORT, modules=['neck'])]).train()
    with pytest.raises(ValueError, match='max_keep'):
        EncoderExportHook(max_keep=0)
    runner = make_runner(tmp_path, [])
    runner.model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match='needs modules'):
        EncoderExportHook().before_train(runner)


# --------------------------------------------------------------------------- freezing


@pytest.fixture
def pretrained(tmp_path):
    path = tmp_path / 'encoder.pth'
    torch.manual_seed(8)
    weights = Net().state_dict()
    weights['backbone.1.running_mean'] += 1
    torch.save(dict(meta={}, state_dict={
        k: v for k, v in weights.items() if k.startswith('backbone.')}), path)
    return path


FREEZE = dict(type='mmocr_da.FreezeHook', modules=['backbone'])
LOOPS = [dict(type='IterBasedTrainLoop', max_iters=4),
         dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=4)]


@pytest.mark.parametrize('loop', LOOPS, ids=lambda loop: loop['type'])
def test_frozen_weights_and_statistics_stay_bit_for_bit(tmp_path, pretrained, loop):
    runner = make_runner(tmp_path / 'run', [FREEZE], load_from=str(pretrained),
                         train_cfg=dict(loop))
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    loaded = torch.load(pretrained)['state_dict']
    after = runner.model.state_dict()
    for key, value in after.items():
        if key.startswith('backbone.'):
            assert torch.equal(value, loaded[key]), key
        elif not key.endswith('num_batches_tracked'):
            assert not torch.equal(value, before[key]), key
    # The model trains, its frozen norm and dropout do not.
    assert set(runner.model.modes) == {(True, False, False)} and len(runner.model.modes) == 4


def test_without_the_hook_they_would_move(tmp_path, pretrained):
    runner = make_runner(tmp_path / 'run', [], load_from=str(pretrained))
    runner.train()
    loaded = torch.load(pretrained)['state_dict']
    after = runner.model.state_dict()
    for key in ('backbone.0.weight', 'backbone.1.weight', 'backbone.1.running_mean'):
        assert not torch.equal(after[key], loaded[key])


def test_parts_by_glob(tmp_path):
    model = Net()
    assert list(modules_named(model, ['decoder.1', 'backbone.[02]'])) == [
        'decoder.1', 'backbone.0', 'backbone.2']
    runner = make_runner(tmp_path, [dict(FREEZE, modules='backbone.[01]')], model)
    runner.train()
    assert [p.requires_grad for p in model.backbone.parameters()] == [False] * 4
    assert model.decoder[1].weight.requires_grad


def test_weights_that_are_not_in_the_checkpoint_are_refused(tmp_path, pretrained):
    other = tmp_path / 'other.pth'
    content = torch.load(pretrained)
    del content['state_dict']['backbone.0.bias']
    torch.save(content, other)
    with pytest.raises(ValueError, match=r'without 1 of them \(backbone.0.bias, ...\)'):
        make_runner(tmp_path / 'a', [FREEZE], load_from=str(other)).train()
    torch.save(dict(state_dict={'encoder.weight': torch.zeros(1)}), other)
    with pytest.raises(ValueError, match='without 6 of them.*it has encoder.weight'):
        make_runner(tmp_path / 'b', [FREEZE], load_from=str(other)).train()


def test_random_weights_are_warned_of(tmp_path, pretrained):
    for name, load_from in (('random', None), ('loaded', str(pretrained))):
        runner = make_runner(tmp_path / name, [FREEZE], load_from=load_from)
        with patch.object(runner.logger, 'warning') as warning:
            runner.train()
        lines = [str(call.args[0]) for call in warning.call_args_list]
        assert any('random weights' in line for line in lines) == (load_from is None)


def test_resumed_it_stays_frozen(tmp_path, pretrained):
    make_runner(tmp_path, [FREEZE], load_from=str(pretrained)).train()
    runner = make_runner(tmp_path, [FREEZE], max_iters=8, resume=True,
                         load_from=str(tmp_path / 'iter_4.pth'))
    runner.train()
    loaded = torch.load(pretrained)['state_dict']
    for key, value in runner.model.backbone.state_dict().items():
        assert torch.equal(value, loaded[f'backbone.{key}'])
    assert runner.iter == 8


def test_bad_freezing(tmp_path):
    with pytest.raises(ValueError, match="got 'neck'; it has .*backbone, decoder"):
        make_runner(tmp_path, [dict(FREEZE, modules=['neck'])]).train()
    with pytest.raises(ValueError, match='leave something to train'):
        make_runner(tmp_path, [dict(FREEZE, modules=['backbone', 'decoder'])]).train()
    with pytest.raises(ValueError, match='got none'):
        FreezeHook([])


def worker(rank, port, folder, pretrained):
    init_default_scope('mmocr')
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    runner = make_runner(folder, [FREEZE], load_from=str(pretrained), launcher='pytorch', cfg=dict(
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                               device_ids=None)))
    assert is_model_wrapper(runner.model)
    runner.train()
    assert is_model_wrapper(runner.model)
    if rank == 0:
        torch.save(runner.model.module.state_dict(), folder / 'result.pth')
    dist.destroy_process_group()


def test_two_processes_do_not_wait_for_gradients_of_frozen_parts(tmp_path, pretrained):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    mp.start_processes(worker, (port, tmp_path, pretrained), nprocs=2, start_method='spawn')
    result, loaded = (torch.load(p) for p in (tmp_path / 'result.pth', pretrained))
    assert all(torch.equal(result[k], v) for k, v in loaded['state_dict'].items())
    torch.manual_seed(3)
    assert not torch.equal(result['decoder.1.weight'], Net().state_dict()['decoder.1.weight'])
