"""Saves the running statistics of all processes, not only of the first."""

from mmengine.dist import all_reduce_params
from mmengine.hooks import CheckpointHook, Hook

from mmocr_da.registry import HOOKS


@HOOKS.register_module()
class SavedBuffersHook(Hook):
    """Average the buffers of all processes before a checkpoint is saved within training.

    MMEngine's ``SyncBuffersHook`` does so before a validation. Without this hook a checkpoint has
    the running statistics of the first process, and all processes of a resumed run start with them.
    """

    # Before EMAHook, which takes the buffers, and before CheckpointHook.
    priority = 'ABOVE_NORMAL'

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Average the buffers if a checkpoint follows."""
        if any(_saves(hook, runner) for hook in runner.hooks):
            all_reduce_params(runner.model.buffers(), op='mean')


def _saves(hook: Hook, runner) -> bool:
    return (
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or hook.save_last
            and hook.is_last_train_iter(runner)
        )
    )
