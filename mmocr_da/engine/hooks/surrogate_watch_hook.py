"""Warns when a learned surrogate no longer follows its metric."""

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from mmocr_da.arguments import check_count
from mmocr_da.models.surrogates.quality import ADVICE, misleads
from mmocr_da.models.training_watch import may_warn
from mmocr_da.registry import HOOKS

from ..model_parts import find_surrogate, unwrapped


@HOOKS.register_module()
class SurrogateWatchHook(Hook):
    """Warn when the surrogate misleads the model: the true metric rises, and it does not.

    The means of ``e_hat`` and of ``e`` over the model's last ``window`` steps are compared with
    their means over the ``window`` steps before, see
    :func:`mmocr_da.models.surrogates.quality.misleads`. Only batches of the first rank count.

    Args:
        window: Number of steps of the model, 2 at least.
    """

    def __init__(self, window: int = 100) -> None:
        check_count('window', window, least=2, of='steps')
        self.window = window
        self._steps: list[Tensor] = []
        self._before: np.ndarray | None = None

    def before_train(self, runner) -> None:
        """Find the surrogate.

        Raises:
            ValueError: If the model has no surrogate, or DDP would wait for missing gradients.
        """
        _, self._surrogate = find_surrogate(unwrapped(runner.model))
        # Where an iteration trains one of both alone, the other one has no gradient. If it had
        # gradients of 0 instead, an optimizer with momentum would move it.
        one_alone = self._surrogate.alternate or self._surrogate.warmup > 0
        if (
            one_alone
            and is_model_wrapper(runner.model)
            and not getattr(runner.model, 'find_unused_parameters', True)
        ):
            raise ValueError(
                'in several processes a learned surrogate needs '
                'find_unused_parameters = True in the config, got False: there are iterations '
                'that train the surrogate alone'
            )

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Compare the last two windows whenever one is complete."""
        latest, self._surrogate.latest = self._surrogate.latest, None
        if latest is None:
            return
        self._steps.append(torch.stack(latest))
        if len(self._steps) < self.window:
            return
        # Fetched from the device once in a window.
        now, self._steps = torch.stack(self._steps).double().cpu().numpy(), []
        before, self._before = self._before, now
        if before is None:
            return
        change = now.mean(0) - before.mean(0)
        error = np.sqrt((now.var(0, ddof=1) + before.var(0, ddof=1)) / self.window)
        if misleads(change[0], error[0], change[1], error[1]) and may_warn(
            'surrogate', type(self).__name__
        ):
            runner.logger.warning(
                f'The surrogate misleads the model at iteration {runner.iter + 1}: within '
                f'{self.window} steps of the model it went from {before[:, 0].mean():.4g} to '
                f'{now[:, 0].mean():.4g}, while the true metric rose from '
                f'{before[:, 1].mean():.4g} to {now[:, 1].mean():.4g}. {ADVICE}'
            )
