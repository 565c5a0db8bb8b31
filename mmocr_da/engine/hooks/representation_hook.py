"""Reports the collapse of a representation during training."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from mmocr_da.arguments import check_count, check_number
from mmocr_da.evaluation.representation import (
    agreement,
    alignment,
    effective_rank,
    spread,
    uniformity,
    unit,
)
from mmocr_da.registry import HOOKS

from ..model_parts import unwrapped

#: With fewer instances there is no warning: too many of the hits are by chance.
MIN_JUDGED = 32
#: Number of hits that may happen if nothing was learned; the expected number is one.
CHANCE_HITS = 3
#: Number of measurements between two warnings of an ongoing collapse.
WARN_EVERY = 10


@HOOKS.register_module()
class RepresentationHook(Hook):
    """Show in the log whether the instances that a contrastive loss compares are good ones.

    The measures are ``alignment``, ``uniformity``, ``spread``, ``effective_rank`` and ``agreement``
    of :mod:`mmocr_da.evaluation.representation`, on the batch of the first rank. The hook warns of
    a collapse if the spread is below ``min_spread``, or if the views twice in a row do not find
    each other better than by chance.

    Args:
        interval: Number of iterations between two measurements; the log shows the last one.
        max_instances: Maximum number of instances that are measured, evenly distributed over the
            batch.
        min_spread: Spread below which a warning is given, from 0 (never) to 1.
    """

    def __init__(
        self, interval: int = 50, max_instances: int = 1024, min_spread: float = 0.1
    ) -> None:
        check_count('interval', interval, of='iterations')
        check_count('max_instances', max_instances, least=2)
        check_number('min_spread', min_spread, least=0, most=1)
        self.interval = interval
        self.max_instances = max_instances
        self.min_spread = min_spread
        self._model: Any = None
        self._misses = 0
        self._collapsed = 0

    def before_train(self, runner) -> None:
        """Find the instances of the model.

        Raises:
            ValueError: If the model does not keep them.
        """
        model = unwrapped(runner.model)
        if not hasattr(model, 'keep_instances'):
            raise ValueError(
                'RepresentationHook needs a model that keeps the instances of its '
                f'loss, such as mmocr_da.SeqCLR, got a {type(model).__name__}; remove '
                'the hook'
            )
        self._model = model

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Tell the model to keep the instances of an iteration that will be measured."""
        self._model.keep_instances = self.every_n_train_iters(runner, self.interval)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Measure the instances, and warn of a collapse."""
        if not self._model.keep_instances:
            return
        za, zb = self._model.latest_instances
        # Frees their memory.
        self._model.keep_instances, self._model.latest_instances = False, None
        if len(za) < 2:
            return
        tensors = measure(*(subset(z, self.max_instances) for z in (za, zb)))
        # One transfer from the device for all.
        measured = dict(zip(tensors, torch.stack([*tensors.values()]).tolist()))
        for name, value in measured.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        self._judge(runner, measured, min(len(za), self.max_instances))

    def _judge(self, runner, measured: dict[str, float], count: int) -> None:
        by_chance = count >= MIN_JUDGED and measured['agreement'] * count <= CHANCE_HITS + 0.5
        self._misses = self._misses + 1 if by_chance else 0
        # Not `<`: a model that has diverged has the spread NaN.
        if not measured['spread'] >= self.min_spread:
            what = (
                f'the spread of the instances is {measured["spread"]:.2g}, below '
                f'{self.min_spread}: all become equal'
            )
        elif self._misses >= 2:
            what = (
                f'only {measured["agreement"]:.2g} of {count} instances find their other view, '
                'as by chance'
            )
        else:
            self._collapsed = 0
            return
        self._collapsed += 1
        if self._collapsed % WARN_EVERY == 1:
            runner.logger.warning(
                f'The representation has collapsed at iteration {runner.iter + 1}: {what}. The '
                'learning rate may be too high (try a tenth, or clip gradients), the temperature '
                'of the loss too far from 0.1, the augmentation too strong for the views to have '
                'anything in common, or the projection head too small or missing'
            )


def subset(z: Tensor, count: int) -> Tensor:
    """Select at most ``count`` rows, evenly distributed.

    >>> subset(torch.arange(10), 4)
    tensor([0, 2, 5, 7])
    """
    if len(z) <= count:
        return z
    return z[torch.arange(count, device=z.device) * len(z) // count]


@torch.no_grad()
def measure(za: Tensor, zb: Tensor) -> dict[str, Tensor]:
    """Compute all measures of instances ``(M, D)`` of two views, of any length."""
    za, zb = unit(za), unit(zb)
    both = torch.cat([za, zb])
    return dict(
        alignment=alignment(za, zb),
        uniformity=(uniformity(za) + uniformity(zb)) / 2,
        spread=spread(both),
        effective_rank=effective_rank(both),
        agreement=agreement(za, zb),
    )
