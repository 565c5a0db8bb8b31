"""Keeps the last checkpoint of a run that is killed while it saves the next one."""

import os
import os.path as osp
from collections.abc import Callable
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, Hook

from mmocr_da.registry import HOOKS

#: Ending of a checkpoint that is being written.
PART = '.part'


@HOOKS.register_module()
class WholeCheckpointsHook(Hook):
    """Give a checkpoint its name when it is written, and remove older ones after that.

    MMEngine removes the oldest checkpoint (``max_keep_ckpts``) and the last best one
    (``save_best``) before it saves the next one, and writes over a file of the same name. A run
    that is killed in between has lost what it removed. With this hook the next checkpoint is
    written to ``<name>.pth.part`` first. So the disk holds one more for a moment.

    Checkpoints that are not files of this machine are saved as MMEngine does.
    """

    # After CheckpointHook, which finds its file backend when training begins.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._removed: list[str] = []

    def before_train(self, runner: Any) -> None:
        """Let the runner and its checkpoint hooks save and remove like this."""
        local = [
            hook
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook)
            and isinstance(getattr(hook, 'file_backend', None), LocalBackend)
        ]
        if not local or isinstance(runner.save_checkpoint, _SaveWhole):
            return
        runner.save_checkpoint = _SaveWhole(runner.save_checkpoint, self._remove)
        for hook in local:
            hook.file_backend = _RemovesLater(hook.file_backend, self._removed)

    def after_train(self, runner: Any) -> None:
        """Remove what is left to be removed."""
        self._remove()

    def _remove(self) -> None:
        for path in self._removed:
            if osp.isfile(path):
                os.remove(path)
        self._removed.clear()


class _SaveWhole:
    """``Runner.save_checkpoint``, to a file that gets its name at the end."""

    def __init__(self, save: Callable[..., None], after: Callable[[], None]) -> None:
        self._save = save
        self._after = after

    def __call__(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        self._save(out_dir, filename + PART, *args, **kwargs)
        path = osp.join(out_dir, filename)
        if is_main_process() and osp.isfile(path + PART):
            os.replace(path + PART, path)
        self._after()


class _RemovesLater:
    """A file backend that notes which files are to be removed."""

    def __init__(self, backend: LocalBackend, removed: list[str]) -> None:
        self._backend = backend
        self._removed = removed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Note a file, which is still there."""
        self._removed.append(path)
