"""A run stops before its first iteration, and before its data are loaded where it can."""

from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmocr_da.engine.hooks.checkpoint_fit_hook import CheckpointFitHook


class Steps(Hook):
    """Fails the test if an iteration begins."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise AssertionError('an iteration has begun')


@pytest.fixture(scope='module')
def foreign(trained, tmp_path_factory):
    """The trained checkpoint as another framework would have saved it."""
    path = tmp_path_factory.mktemp('foreign') / 'foreign.pth'
    weights = torch.load(trained / 'iter_2.pth', weights_only=True)['state_dict']
    torch.save(dict(state_dict={f'student.{key}': value for key, value in weights.items()}), path)
    return path


@pytest.fixture(autouse=True)
def _plain_configs(monkeypatch):
    """Most of the time would go into the layout of the config's text."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))


def runner_of(config, work_dir, **options):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(work_dir=str(work_dir), experiment_name=str(work_dir), **options))
    return Runner.from_cfg(cfg)


def test_a_foreign_checkpoint_stops_training_before_data_are_loaded(
    toy, foreign, run_tool, tmp_path
):
    with (
        patch.object(Runner, 'build_dataloader') as data,
        pytest.raises(ValueError, match="load_from .*prefix='student.'"),
    ):
        run_tool('train', toy, '--work-dir', tmp_path, '--cfg-options', f'load_from={foreign}')
    assert not data.called


def test_without_our_tool_it_stops_before_the_first_iteration(toy, foreign, tmp_path):
    """As under MMOCR's ``tools/train.py``: the loop brings the check."""
    runner = runner_of(toy, tmp_path, load_from=str(foreign))
    runner.register_hook(Steps())
    with pytest.raises(ValueError, match="load_from .*prefix='student.'"):
        runner.train()
    runner = runner_of(
        toy,
        tmp_path / 'init',
        **{'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(foreign))},
    )
    runner.register_hook(Steps())
    with pytest.raises(ValueError, match='the init_cfg of backbone .* got 0 of'):
        runner.train()


def test_a_run_that_resumes_by_itself_is_checked_too(toy, trained, tmp_path):
    """As by ``--resume`` of MMOCR's ``tools/train.py``, which names no file."""
    (tmp_path / 'last_checkpoint').write_text(str(trained / 'iter_2.pth'))
    runner = runner_of(
        toy,
        tmp_path,
        resume=True,
        **{
            'train_cfg.max_iters': 3,
            'optim_wrapper.optimizer': dict(_delete_=True, type='Adam', lr=1e-3),
        },
    )
    runner.register_hook(Steps())
    with pytest.raises(ValueError, match="iter_2.pth' of another: .* 'SGD' -> 'Adam'"):
        runner.train()


def test_parts_named_in_the_config_may_start_at_random(toy, trained, run_tool, tmp_path):
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=True)
    weights = {
        key.replace('decoder.', 'predictor.'): value
        for key, value in checkpoint['state_dict'].items()
    }
    torch.save(dict(state_dict=weights), tmp_path / 'part.pth')
    arguments = [
        toy,
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        'train_cfg.max_iters=1',
        f'load_from={tmp_path / "part.pth"}',
        f'experiment_name={tmp_path.name}',
    ]
    with pytest.raises(ValueError, match=r"0 of 13 of decoder.*new_parts=\['decoder'\]"):
        run_tool('train', *arguments)
    run_tool('train', *arguments, 'new_parts=decoder')
    assert (tmp_path / 'run' / 'iter_1.pth').exists()


def test_a_checkpoint_of_another_model_is_not_scored(toy, foreign, run_tool, tmp_path):
    with pytest.raises(ValueError, match="the checkpoint .*foreign.pth' must have all weights"):
        run_tool('test', toy, foreign, '--work-dir', tmp_path)
    # Not even with the setting for training.
    with pytest.raises(ValueError, match='which would be random'):
        run_tool(
            'test',
            toy,
            foreign,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            'new_parts=[backbone,encoder,decoder]',
        )


def test_weights_of_a_test_are_the_checkpoints(toy, trained, tmp_path):
    """The check loads weights by itself; it must leave no others behind."""
    runner = runner_of(toy, tmp_path, load_from=str(trained / 'iter_2.pth'))
    runner.register_hook(CheckpointFitHook())
    runner.load_or_resume()
    weights = torch.load(trained / 'iter_2.pth', weights_only=True)['state_dict']
    assert all(torch.equal(value, weights[key]) for key, value in runner.model.state_dict().items())


def test_few_missing_weights_are_named_in_the_log(toy, trained, run_tool, tmp_path):
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=True)
    checkpoint['state_dict']['other'] = checkpoint['state_dict'].pop('decoder.fc.bias')
    torch.save(dict(state_dict=checkpoint['state_dict']), tmp_path / 'most.pth')
    run_tool(
        'train',
        toy,
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        f'load_from={tmp_path / "most.pth"}',
        f'experiment_name={tmp_path.name}',
        'train_cfg.max_iters=1',
    )
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert 'most.pth has no weight for decoder.fc.bias: it starts as if' in log.read_text()
