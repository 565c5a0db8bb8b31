"""Configs and checkpoints with the names of the version before work with every tool."""

import re

import pytest
import torch
from mmengine.config import Config
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer

from mmocr_da.registry import MODELS

OLD = dict(
    HOOK='GateHook',
    CONSTRUCTOR='GateOptimWrapperConstructor',
    FEATURE='hook_point',
    APPROXIMATION='source',
)
NEW = dict(
    HOOK='BINGateHook',
    CONSTRUCTOR='BINGateOptimWrapperConstructor',
    FEATURE='character_feature',
    APPROXIMATION='approximation',
)
CONFIG = """
_base_ = '{toy}'
model = dict(
    FEATURE='hidden',
    backbone=dict(_delete_=True, **{{**_base_.model.backbone, 'type': 'mmocr_da.WithBIN',
                                    'of': 'ResNet'}}),
    objectives=[_base_.model.objectives[0], dict(type='mmocr_da.LocalAlignment', in_channels=12),
                dict(type='mmocr_da.LSEDLoss', surrogate=dict(
        APPROXIMATION='global', model_steps=100, surrogate_steps=0, warmup=1,
        channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3))])
optim_wrapper = dict(
    constructor='mmocr_da.CONSTRUCTOR', paramwise_cfg=dict(gate_lr_mult=0, gate_decay_mult=0))
custom_hooks = [dict(type='mmocr_da.HOOK', interval=1)]
train_cfg = dict(max_iters=2, val_interval=100)
"""


def write(path, toy, names):
    text = CONFIG.format(toy=toy)
    path.write_text(re.sub('|'.join(names), lambda match: names[match[0]], text))
    return path


@pytest.fixture(scope='module')
def configs(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp('configs')
    return [write(folder / f'{k}.py', toy, names) for k, names in (('old', OLD), ('new', NEW))]


@pytest.fixture(scope='module')
def trained_as_old(configs, run_tool, tmp_path_factory):
    """The work directory of two iterations with the old names."""
    work_dir = tmp_path_factory.mktemp('run')
    run_tool('train', configs[0], '--work-dir', work_dir)
    return work_dir


def log_of(work_dir):
    return max(work_dir.glob('*/*.log')).read_text()


def test_old_names_mean_the_same(configs, trained_as_old, run_tool, tmp_path):
    run_tool('train', configs[1], '--work-dir', tmp_path)
    old, new = (
        torch.load(folder / 'iter_2.pth', weights_only=False)['state_dict']
        for folder in (trained_as_old, tmp_path)
    )
    assert old.keys() == new.keys() and all(torch.equal(old[key], new[key]) for key in old)
    assert 'bin_gates_above_0.9' in log_of(trained_as_old)


@pytest.mark.parametrize('resumed_as', [0, 1])
def test_a_checkpoint_with_old_names_is_resumed(
    configs, trained_as_old, run_tool, tmp_path, resumed_as
):
    run_tool(
        'train',
        configs[resumed_as],
        '--work-dir',
        tmp_path,
        '--resume',
        trained_as_old / 'iter_2.pth',
        '--cfg-options',
        'train_cfg.max_iters=3',
        # Runs of the same second and name share a log.
        f'experiment_name=resumed_{resumed_as}',
    )
    assert (tmp_path / 'iter_3.pth').is_file()
    assert 'differ' not in log_of(tmp_path) and 'NO effect' not in log_of(tmp_path)


@pytest.mark.parametrize('config', ['old', 'new', 'dumped'])
def test_a_checkpoint_with_old_names_is_tested_and_exported(
    configs, trained_as_old, run_tool, tmp_path, config
):
    files = dict(old=configs[0], new=configs[1], dumped=trained_as_old / 'old.py')
    checkpoint = trained_as_old / 'iter_2.pth'
    run_tool('test', files[config], checkpoint, '--work-dir', tmp_path / 'test')
    run_tool('export', files[config], checkpoint, tmp_path / 'out')
    plain = Config.fromfile(str(next((tmp_path / 'out').glob('*.py'))))
    assert 'mmocr_da' not in plain.pretty_text
    model = MODELS.build(plain.model)
    assert type(model) is EncoderDecoderRecognizer
    weights = torch.load(next((tmp_path / 'out').glob('*.pth')))['state_dict']
    model.load_state_dict(weights, strict=True)
