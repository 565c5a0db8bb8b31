"""Names settings that cannot work or have no effect, before training starts."""

import copy
from collections.abc import Iterator

import numpy as np
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook, LoggerHook
from mmengine.runner import IterBasedTrainLoop

from mmocr_da.datasets.two_domain_dataset import check_domains, check_sampler
from mmocr_da.registry import HOOKS

from ..model_parts import unwrapped

Directions = dict[str, str | None]

_SQUARE = np.array([0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 9.0])


@HOOKS.register_module()
class SettingsHook(Hook):
    """Check settings that would otherwise fail after the first validation.

    * ``save_best`` and ``EarlyStoppingHook`` must name a metric of the validation, and prefer its
      better value. The hook finds out which value is better: it computes each metric of MMOCR and
      of this package for a right and for a wrong prediction.
    * The sampler must fit the dataset and the batch size.
    * The data must have the domains that the model needs.
    * Statistics per domain must not be computed again in backward.
    * Schedules and checkpoints must not count epochs in a loop that counts iterations, where they
      would do nothing.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Check all settings.

        Raises:
            ValueError: If one of them cannot work.
        """
        check_sampler(runner.train_dataloader)
        needed = getattr(unwrapped(runner.model), 'needed_domains', {})
        check_domains(runner.train_dataloader, needed)
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        end = runner.max_iters if by_iter else runner.max_epochs
        self._check_watched(runner, end, 'iterations' if by_iter else 'epochs')
        self._check_schedules(runner, by_iter)
        self._check_repeated(runner)
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and by_iter and hook.by_epoch:
                runner.logger.warning(
                    'CheckpointHook counts epochs and the training loop iterations: no checkpoint '
                    'is written before the end. Set default_hooks.checkpoint=dict(by_epoch=False, '
                    'interval=...)'
                )
            # At the end of an epoch it logs in any case.
            if (
                isinstance(hook, LoggerHook)
                and runner.max_iters > 0
                and runner.max_iters < min(hook.interval, len(runner.train_dataloader))
            ):
                runner.logger.warning(
                    f'LoggerHook logs every {hook.interval} iterations and the training ends after '
                    f'{runner.max_iters}: nothing of it is logged. Lower '
                    'default_hooks.logger.interval'
                )

    @staticmethod
    def _check_repeated(runner) -> None:
        per_domain = any(getattr(m, 'per_domain', False) for m in runner.model.modules())
        if per_domain and runner.cfg.get('activation_checkpointing'):
            raise ValueError(
                'statistics per domain need a forward pass that backward does not repeat, got '
                'activation_checkpointing in the config; remove it, or norm_statistics'
            )

    @staticmethod
    def _check_schedules(runner, by_iter: bool) -> None:
        schedulers = runner.param_schedulers or []
        lists = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
        for scheduler in [scheduler for list_ in lists for scheduler in list_]:
            name = type(scheduler).__name__
            if by_iter and scheduler.by_epoch:
                raise ValueError(
                    f'param_scheduler must count iterations in a {type(runner.train_loop).__name__}'
                    f', got {name} with by_epoch=True, which would never take a step; set by_epoch='
                    'False and its milestones in iterations, or param_scheduler=[]'
                )
            total = runner.max_epochs if scheduler.by_epoch else runner.max_iters
            if getattr(scheduler, 'begin', 0) >= total > 0:
                runner.logger.warning(
                    f'{name} begins at {scheduler.begin} and the training ends at {total}: it has '
                    'no effect'
                )

    @staticmethod
    def _check_watched(runner, end: int, unit: str) -> None:
        watched = list(_watched(runner))
        if runner.val_loop is None:
            if watched:
                raise ValueError(
                    f'{watched[0][0]} needs a validation, got a config without one; add '
                    'val_dataloader, val_evaluator and val_cfg, or remove it'
                )
            return
        if runner.val_begin > end:
            message = (
                f'val_begin={runner.val_begin} is after the end of the training, {end} '
                f'{unit}: it is never validated'
            )
            if watched:
                raise ValueError(f'{message}, which {watched[0][0]} needs; lower val_begin')
            runner.logger.warning(message)
        elif watched and runner.val_interval > end:
            runner.logger.warning(
                f'val_interval={runner.val_interval} is more than the {end} {unit} of the training:'
                f' the only validation is at the end, and {watched[0][0]} has no choice'
            )
        known = metrics_of(runner.val_loop.evaluator) if watched else None
        for name, key, rule in watched:
            if known is not None:
                _check_key(name, key, rule, known)


def _watched(runner) -> Iterator[tuple[str, str, str | None]]:
    """``(setting, metric, rule)`` of all hooks that wait for a metric."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best is not None:
            for key, rule in zip(hook.key_indicators, hook.rules):
                yield f'save_best={key!r}', key, rule
        if isinstance(hook, EarlyStoppingHook):
            yield f'EarlyStoppingHook(monitor={hook.monitor!r})', hook.monitor, hook.rule


def _check_key(name: str, key: str, rule: str | None, known: Directions) -> None:
    if key == 'auto':
        key = next(iter(known))
        if rule is None:
            try:
                rule = CheckpointHook(save_best=key).rules[0]
            except ValueError:
                raise ValueError(
                    f'{name} means {key!r}, and rule must say whether more is better, '
                    f'got None; set rule={known[key] or "greater"!r}'
                ) from None
    if key not in known:
        raise ValueError(
            f'{name} must be a metric of the validation, got one that val_evaluator '
            f'does not give; it gives {", ".join(known)}'
        )
    if known[key] not in (None, rule):
        raise ValueError(
            f'{name} must keep the better checkpoint, got rule={rule!r}, under which '
            f'the worst one of {key} is kept; set rule={known[key]!r}'
        )


def metrics_of(evaluator: Evaluator) -> Directions | None:
    """Find the metrics of an evaluator and which of their values are better.

    Returns:
        ``'greater'``, ``'less'`` or None (neither) by the metric's key. None if the evaluator has a
        metric that is neither MMOCR's nor this package's, or that cannot be tried.
    """
    found: Directions = {}
    for metric in evaluator.metrics:
        directions = _directions(metric)
        if directions is None:
            return None
        for dataset in getattr(evaluator, 'dataset_prefixes', None) or ('',):
            prefix = [part for part in (dataset, metric.prefix) if part]
            found.update({'/'.join([*prefix, key]): better for key, better in directions.items()})
    return found


def _directions(metric: BaseMetric) -> Directions | None:
    if type(metric).__module__.split('.')[0] not in ('mmocr', 'mmocr_da'):
        return None
    if hasattr(metric, 'directions'):  # it says so itself
        return dict(metric.directions)
    try:
        right, wrong = (_tried(metric, correct) for correct in (True, False))
    # A metric may need other inputs; then its directions stay unknown.
    except Exception:
        return None
    return {
        key: None if right[key] == wrong[key] else 'greater' if right[key] > wrong[key] else 'less'
        for key in right
    }


def _tried(metric: BaseMetric, correct: bool) -> dict[str, float]:
    """Results of a metric for one image."""
    metric = copy.copy(metric)
    metric.results = []
    boxes = dict(polygons=[_SQUARE + (0 if correct else 99)], scores=np.ones(1))
    sample = dict(
        gt_text=dict(item='ab'),
        gt_instances=dict(polygons=[_SQUARE], ignored=np.array([False])),
        pred_instances=boxes,
        img_path='',
    )
    for field in ('pred_text', getattr(metric, 'prediction', 'pred_text')):
        sample[field] = dict(item='ab' if correct else 'xyz')
    metric.process({}, [sample])
    return metric.compute_metrics(metric.results)
