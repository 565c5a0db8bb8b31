import os
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config

from mmocr_da.engine import launch


def test_resume_starts_from_load_from_while_there_is_nothing_to_resume(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'source_only.pth')


@pytest.mark.parametrize('written', ['elsewhere/iter_7.pth', '{work_dir}/iter_7.pth'])
def test_resume_finds_the_last_checkpoint_of_a_moved_work_dir(tmp_path, written):
    (tmp_path / 'iter_7.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(written.format(work_dir=tmp_path))
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_7.pth'))


def test_resume_takes_the_checkpoint_it_is_given(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'iter_3.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'iter_3.pth')


def test_amp_switches_the_wrapper(monkeypatch):
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    launch.enable_amp(cfg)
    assert cfg.optim_wrapper == dict(type='AmpOptimWrapper', loss_scale='dynamic')
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    launch.check_amp(cfg)
    with pytest.raises(ValueError, match="got 'OptimWrapperDict'"):
        launch.enable_amp(Config(dict(optim_wrapper=dict(type='OptimWrapperDict'))))


def test_the_work_dir_is_the_argument_then_the_config_then_the_name(tmp_path):
    plain, own = tmp_path / 'plain.py', tmp_path / 'own.py'
    plain.write_text('a = 1')
    own.write_text("work_dir = 'mine'")
    assert launch.load_config(str(own), 'given').work_dir == 'given'
    assert launch.load_config(str(own)).work_dir == 'mine'
    assert launch.load_config(str(plain)).work_dir == './work_dirs/plain'


def test_a_dataloader_without_workers_has_none_that_persist(tmp_path):
    loader = 'dict(num_workers=2, persistent_workers=True)'
    file = tmp_path / 'own.py'
    file.write_text(f'train_dataloader = test_dataloader = {loader}\nval_dataloader = None\n')
    cfg = launch.load_config(str(file), cfg_options={'train_dataloader.num_workers': 0})
    assert cfg.train_dataloader == dict(num_workers=0)
    assert cfg.test_dataloader == dict(num_workers=2, persistent_workers=True)
    assert cfg.val_dataloader is None


def test_seed_keeps_what_the_config_says_beside_it(monkeypatch):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    cfg = Config(dict(randomness=dict(seed=1, diff_rank_seed=True)))
    launch.set_seed(cfg, None, False)
    assert cfg.randomness == dict(seed=1, diff_rank_seed=True)
    launch.set_seed(cfg, 7, True)
    assert cfg.randomness == dict(seed=7, diff_rank_seed=True, deterministic=True)
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG')


@pytest.mark.parametrize('name', ['', 'iter_30.pth'])
def test_resume_takes_the_newest_whole_checkpoint_if_the_named_one_is_not_there(tmp_path, name):
    """A kill leaves an empty name, or a checkpoint that is cut off."""
    for i in (10, 20):
        torch.save({}, tmp_path / f'iter_{i}.pth')
        os.utime(tmp_path / f'iter_{i}.pth', (i, i))
    (tmp_path / 'iter_25.pth').write_bytes((tmp_path / 'iter_20.pth').read_bytes()[:50])
    (tmp_path / 'last_checkpoint').write_text(name)
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_20.pth'))


def test_resume_with_an_empty_name_and_no_checkpoint_starts_anew(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('')
    cfg = Config(dict(work_dir=str(tmp_path)))
    launch.set_resume(cfg, 'auto')
    assert cfg.resume is False


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_the_process_group_is_left_before_python_ends(monkeypatch):
    """Else threads of gloo may abort a process that has finished."""
    for name, value in dict(
        RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='0'
    ).items():
        monkeypatch.setenv(name, value)
    with patch.object(launch, 'keep_memory'):
        assert launch.prepare_cpu_launch(Config(dict(launcher='pytorch')))
        assert torch.distributed.is_initialized()
        # A group that a program has made itself is not left for it.
        assert not launch.prepare_cpu_launch(Config(dict(launcher='pytorch')))
    with patch('os._exit') as end, patch('atexit._run_exitfuncs') as run_exit_functions:
        launch.finish_cpu_launch()
        end.assert_called_once_with(0)
        run_exit_functions.assert_called_once_with()
        assert not torch.distributed.is_initialized()
