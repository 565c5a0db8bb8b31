"""A checkpoint has the running statistics of all processes."""

from types import SimpleNamespace

from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import get_priority
from torch import nn

from mmocr_da.engine.hooks import SavedBuffersHook, saved_buffers_hook


def test_buffers_are_averaged_before_each_checkpoint(monkeypatch):
    averaged = []
    monkeypatch.setattr(
        saved_buffers_hook,
        'all_reduce_params',
        lambda buffers, op: averaged.append((runner.iter + 1, len([*buffers]), op)),
    )
    hook = SavedBuffersHook()
    runner = SimpleNamespace(model=nn.BatchNorm1d(2), max_iters=7)
    for by_epoch, save_last in ((True, True), (False, False), (False, True)):
        runner.hooks = [hook, CheckpointHook(3, by_epoch=by_epoch, save_last=save_last)]
        for runner.iter in range(7):
            hook.after_train_iter(runner, runner.iter)
    assert averaged == [(step, 3, 'mean') for step in (3, 6, 3, 6, 7)]
    assert get_priority(hook.priority) < get_priority(CheckpointHook.priority)


def test_the_average_of_weights_takes_averaged_buffers():
    order = [get_priority(hook.priority) for hook in (SavedBuffersHook, EMAHook, CheckpointHook)]
    assert order == sorted({*order})
