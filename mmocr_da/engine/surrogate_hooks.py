"""Hooks of a learned surrogate: write it to a file of its own, see that it serves its metric."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmocr_da.registry import HOOKS

from .encoder_hooks import PartExportHook, unwrapped

if TYPE_CHECKING:
    from mmocr_da.models.surrogates import LearnedSurrogate


def find_surrogate(model: nn.Module) -> tuple[str, 'LearnedSurrogate']:
    """The learned surrogate in a model, and its name there."""
    # Models follow schedules of the engine, so this package cannot wait for them to be imported.
    from mmocr_da.models.surrogates import LearnedSurrogate

    found = [(name, m) for name, m in model.named_modules() if isinstance(m, LearnedSurrogate)]
    if len(found) != 1:
        raise ValueError(
            'a model with one learned surrogate is needed, such as an '
            'AdaptiveRecognizer with objectives=[dict(type="mmocr_da.LSEDLoss")], got '
            f'a {type(model).__name__} with {len(found)}; remove the hook'
        )
    return found[0]


@HOOKS.register_module()
class SurrogateExportHook(PartExportHook):
    """Write the surrogate alone with each checkpoint: ``surrogate_iter_<N>.pth``.

    Another training starts from it by the surrogate's ``checkpoint``.

    Args:
        max_keep: See :class:`~mmocr_da.engine.encoder_hooks.PartExportHook`.
    """

    part = 'surrogate'

    def find_part(self, model: nn.Module) -> None:
        self._name, self._surrogate = find_surrogate(model)

    def inputs(self) -> list[str]:
        return [self._surrogate.checkpoint]

    def key_of(self, key: str) -> str | None:
        if key == self._name:
            return ''
        prefix = f'{self._name}.'
        return key[len(prefix) :] if key.startswith(prefix) else None

    def meta(self) -> dict:
        return dict(surrogate=self._surrogate.spec)


@HOOKS.register_module()
class SurrogateWatchHook(Hook):
    """Warn when the surrogate falls while the true metric rises: then it misleads the model.

    The means of ``e_hat`` and of ``e`` over the model's last ``window`` steps are compared with
    those over the ``window`` steps before. Both must have changed by more than twice the standard
    error of the difference. On the first rank's own batches.

    Args:
        window: Number of steps of the model, 2 at least.
    """

    def __init__(self, window: int = 100) -> None:
        if not isinstance(window, int) or window < 2:
            raise ValueError(f'window must be a number of steps of at least 2, got {window!r}')
        self.window = window
        self._steps: list[Tensor] = []
        self._before: np.ndarray | None = None

    def before_train(self, runner) -> None:
        _, self._surrogate = find_surrogate(unwrapped(runner.model))
        # A step trains either the surrogate or the model. A gradient of 0 instead of none would
        # let an optimizer with momentum move the other one.
        if is_model_wrapper(runner.model) and not getattr(
            runner.model, 'find_unused_parameters', True
        ):
            raise ValueError(
                'in several processes a learned surrogate needs '
                'find_unused_parameters = True in the config, got False: an iteration '
                'trains either the surrogate or the model'
            )

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
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
        if change[0] < -2 * error[0] and change[1] > 2 * error[1]:
            runner.logger.warning(
                f'The surrogate misleads the model at iteration {runner.iter + 1}: within '
                f'{self.window} steps of the model it fell from {before[:, 0].mean():.4g} to '
                f'{now[:, 0].mean():.4g}, while the true metric rose from '
                f'{before[:, 1].mean():.4g} to {now[:, 1].mean():.4g}. Give the surrogate more '
                "steps (surrogate_steps, warmup), learn it from source='local-global', or lower "
                'the learning rate of the model'
            )
