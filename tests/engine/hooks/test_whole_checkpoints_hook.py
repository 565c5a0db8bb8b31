"""A run that is killed while it saves has a whole checkpoint, and resumes from it."""

import pytest
import torch
from helpers.part_runs import equal, make_runner, weights_of
from mmengine.config import Config
from mmengine.fileio import LocalBackend

from mmocr_da.engine import launch
from mmocr_da.engine.hooks import WholeCheckpointsHook
from mmocr_da.engine.hooks.whole_checkpoints_hook import PART

HOOK = dict(type='mmocr_da.WholeCheckpointsHook')


class Killed(BaseException):
    """Is not caught on the way out, like a signal."""


@pytest.fixture
def killed_while_saving(monkeypatch):
    """The write of a checkpoint of this name stops in the middle."""

    def set_up(name):
        put = LocalBackend.put

        def cut(backend, obj, path):
            if name not in str(path):
                return put(backend, obj, path)
            put(backend, obj[: len(obj) // 2], path)
            raise Killed

        monkeypatch.setattr(LocalBackend, 'put', cut)

    return set_up


def files(folder):
    return sorted(path.name for path in folder.glob('*.pth*'))


@pytest.mark.parametrize('hooks', [[], [HOOK]])
def test_a_kill_while_saving_leaves_the_last_checkpoint(
    tmp_path, killed_while_saving, hooks, monkeypatch
):
    """Without the hook, MMEngine has removed it by then: the comparison can tell."""
    killed_while_saving('iter_4.pth')
    runner = make_runner(tmp_path, hooks, checkpoint=dict(max_keep_ckpts=1))
    with pytest.raises(Killed):
        runner.train()
    if not hooks:
        assert files(tmp_path) == ['iter_4.pth']
        return
    assert files(tmp_path) == ['iter_2.pth', f'iter_4.pth{PART}']
    assert weights_of(tmp_path / 'iter_2.pth')
    cfg, said = Config(dict(work_dir=str(tmp_path))), []
    monkeypatch.setattr(launch, 'print_log', lambda text, **_: said.append(text))
    launch.set_resume(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'iter_2.pth')
    assert f'iter_4.pth{PART} is a checkpoint whose writing was interrupted' in said[0]


def test_a_checkpoint_that_is_written_again_is_whole_until_then(tmp_path, killed_while_saving):
    make_runner(tmp_path, [HOOK], max_iters=2).train()
    before = weights_of(tmp_path / 'iter_2.pth')
    killed_while_saving('iter_2.pth')
    with pytest.raises(Killed):
        make_runner(tmp_path, [HOOK], max_iters=2).train()
    assert equal(before, weights_of(tmp_path / 'iter_2.pth'))


@pytest.mark.parametrize('keep', [-1, 1, 2])
def test_the_files_and_weights_are_those_of_mmengine(tmp_path, keep):
    found = {}
    for name, hooks in dict(plain=[], whole=[HOOK]).items():
        runner = make_runner(
            tmp_path / name,
            hooks,
            max_iters=6,
            checkpoint=dict(max_keep_ckpts=keep),
            randomness=dict(seed=0),
        )
        runner.train()
        found[name] = {
            path.name: weights_of(path) for path in sorted((tmp_path / name).glob('*.pth*'))
        }
        last = (tmp_path / name / 'last_checkpoint').read_text()
        assert last == str(tmp_path / name / 'iter_6.pth')
    assert list(found['plain']) == list(found['whole'])
    assert len(found['whole']) == (3 if keep < 0 else keep)
    assert all(equal(found['plain'][name], found['whole'][name]) for name in found['plain'])


def test_it_is_set_up_once(tmp_path):
    runner = make_runner(tmp_path, [HOOK], max_iters=2)
    hook = next(hook for hook in runner.hooks if isinstance(hook, WholeCheckpointsHook))
    runner.train()
    save = runner.save_checkpoint
    hook.before_train(runner)
    assert runner.save_checkpoint is save


def test_a_named_checkpoint_that_is_cut_off_is_replaced_by_the_newest_whole_one(
    tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(launch, 'print_log', lambda text, **_: said.append(text))
    torch.save({}, tmp_path / 'iter_2.pth')
    (tmp_path / 'iter_4.pth').write_bytes((tmp_path / 'iter_2.pth').read_bytes()[:50])
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    cfg = Config(dict(work_dir=str(tmp_path)))
    launch.set_resume(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'iter_2.pth')
    (text,) = said
    assert 'iter_4.pth, which last_checkpoint names, is not whole. The run is resumed from' in text
