"""Stops a run before the first iteration if its checkpoint does not fit the model."""

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, find_latest_checkpoint

from mmocr_da.arguments import some
from mmocr_da.registry import HOOKS

from ..checkpoint_fit import (
    check_pretrained,
    check_start,
    check_whole,
    predictors_left_behind,
)
from ..model_parts import unwrapped
from ..resume import align_optimizer, check_resume, parameters_by_group


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Stop a run if ``load_from``, a ``Pretrained`` file or the resumed checkpoint does not fit.

    MMEngine skips weights that do not fit, and training would start from random ones. The config
    can allow this for training with ``new_parts=['decoder']``, but not for testing.

    ``tools/train.py`` and ``tools/test.py`` add the hook, and so does
    :class:`ResumableIterBasedTrainLoop`.
    """

    # After FreezeHook, which has the clearer error, and before EMAHook takes the weights.
    priority = 'ABOVE_NORMAL'

    def __init__(self) -> None:
        self._checked: str | None = None

    def check_early(self, runner, checkpoint: dict | None) -> None:
        """Check a training run before its data are loaded.

        Args:
            checkpoint: The checkpoint of ``load_from``; None if it is not on this machine.

        Raises:
            ValueError: If the checkpoint, or a ``Pretrained`` file, does not fit the model.
        """
        check_pretrained(unwrapped(runner.model), runner.cfg.get('new_parts', ()))
        self._checked = ''
        if checkpoint is not None:
            self._check_training(runner, checkpoint)
            self._checked = runner._load_from

    def before_run(self, runner) -> None:
        """Check the ``Pretrained`` files of a training run, unless they were checked early."""
        if isinstance(runner._train_loop, BaseLoop) and self._checked is None:
            check_pretrained(unwrapped(runner.model), runner.cfg.get('new_parts', ()))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the checkpoint, and sort the state of its optimizer into the order of the model.

        Raises:
            ValueError: If the checkpoint does not fit the model, or not the run to be resumed.
        """
        if not isinstance(runner._train_loop, BaseLoop):
            model, path = unwrapped(runner.model), runner._load_from
            check_whole(model, checkpoint, path)
            self._warn_of_predictors(runner, model, checkpoint, path)
            return
        # Without a path in the config, the last checkpoint of the work directory is resumed.
        if self._checked is None or self._checked != runner._load_from:
            self._check_training(runner, checkpoint)
        if (
            runner._resume
            and isinstance(runner.optim_wrapper, OptimWrapper)
            and 'optimizer' in checkpoint
        ):
            align_optimizer(
                checkpoint['optimizer'],
                checkpoint['meta'].get('optimizer_parameters'),
                parameters_by_group(runner.optim_wrapper.optimizer, unwrapped(runner.model)),
                _path(runner),
            )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add what a run that resumes from it compares with its own.

        These are the names of the optimizer's parameters, and the number of processes.
        """
        checkpoint['meta']['processes'] = get_world_size()
        if isinstance(runner.optim_wrapper, OptimWrapper):
            checkpoint['meta']['optimizer_parameters'] = parameters_by_group(
                runner.optim_wrapper.optimizer, unwrapped(runner.model)
            )

    @staticmethod
    def _warn_of_predictors(runner, model, checkpoint: dict, path: str) -> None:
        if left := predictors_left_behind(model, checkpoint):
            runner.logger.warning(
                f'{path} is of a training with {" and ".join(left)}, which this model lacks, and '
                'may have been tested with it there. What is loaded is the recognizer beside it. '
                'To have what was tested, export the checkpoint first (tools/export.py)'
            )

    @staticmethod
    def _check_training(runner, checkpoint: dict) -> None:
        model, path = unwrapped(runner.model), _path(runner)
        if runner._resume:
            check_resume(model, runner.cfg, checkpoint, path)
            return
        CheckpointFitHook._warn_of_predictors(runner, model, checkpoint, path)
        lacking = check_start(
            model, checkpoint, f'load_from ({path!r})', runner.cfg.get('new_parts', ())
        )
        if lacking:
            runner.logger.warning(
                f'{path} has no weight for {some(lacking)}: '
                f'{"it starts" if len(lacking) == 1 else "they start"} as if '
                'there were no load_from'
            )


def _path(runner) -> str:
    return runner._load_from or find_latest_checkpoint(runner.work_dir)
