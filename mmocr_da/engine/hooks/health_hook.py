"""Reports whether an adaptation is healthy, and warns of what is wrong with it."""

import copy
import time
from collections.abc import Mapping
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook

from mmocr_da.arguments import check_config, check_count, check_number
from mmocr_da.models.detectors import AdaptiveTextDetector
from mmocr_da.models.training_watch import may_warn
from mmocr_da.registry import DATASETS, HOOKS

from ..health.diagnosis import Finding, diagnose
from ..health.gradients import gradient_ratios
from ..health.held_out import HeldOut, held_out_images
from ..health.measuring import Measured, Pairs, measure, surrogate_change, unchanged
from ..health.report import report, warning
from ..model_parts import unwrapped

#: Images of each domain by default, words and scenes.
WORDS, SCENES = 200, 20
#: Measurements of a run without a validation.
MEASUREMENTS = 10
#: Measurements without a fault after which it is warned of again.
QUIET = 3
#: Values of the training log that are averaged since the last measurement, see ``SelfTraining``.
LOGGED = ('kept', 'confidence', 'agreement', 'length', 'distinct_words')
#: Key of the state in the message hub.
STATE = 'health'


@HOOKS.register_module()
class HealthHook(Hook):
    """Measure at each validation whether an adaptation is healthy, and warn of seven faults.

    A fixed selection of images of both domains is looked at, before training and at each
    validation; a run without a validation is measured ten times. The log has a short report, and
    the visualizer its numbers as ``health/<what>/<measure>``:

    * of each objective that tells the domains apart (the discriminators of alignments, SymNet): its
      balanced accuracy per image; that of a new logistic regression on the same features, by
      cross-validation; their proxy A-distances (:mod:`mmocr_da.evaluation.domain_distance`); and
      the norm of its gradient, as a share of that of the supervised loss;
    * the share of characters that the gate of ``LocalAlignment`` passes, and the classes with the
      lowest and the highest one;
    * the weight of each objective;
    * ``kept``, ``confidence``, ``agreement`` and ``length`` of ``SelfTraining``, from its log;
    * length, emptiness, variety and confidence of predictions of the target, and the accuracy of
      words of the source;
    * the error of a learned surrogate, and whether it prefers predictions that are worse.

    The faults, and what to change, are those of :mod:`mmocr_da.engine.health.diagnosis`. Each is
    warned of once, and again only if it had gone. No label of the target is used. Weights,
    statistics, modes and random numbers of the training stay as they are, so that it ends with the
    same weights as without the hook.

    Images are those of ``dataset``; or of the validation, if it has a ``TwoDomainDataset``; or of
    the training data, prepared as in testing. The recognizer learns the latter, so its accuracy on
    them says whether it forgets the source, and not how good it is.

    A measurement is left out if it would make the hook take more than ``max_share`` of the time of
    the training so far.

    Args:
        interval: Number of iterations between two measurements; None for each validation.
        num_images: Images of each domain; by default 200 words or 20 scenes.
        dataset: Config of a ``TwoDomainDataset`` with images that are not trained on.
        max_share: Most of the time that measurements take, as a share of that of the training; a
            high one does not limit them.
    """

    # After the validation is in the log.
    priority = 'LOW'

    def __init__(
        self,
        interval: int | None = None,
        num_images: int | None = None,
        dataset: dict[str, Any] | None = None,
        max_share: float = 0.03,
    ) -> None:
        for name, value in (('interval', interval), ('num_images', num_images)):
            if value is not None:
                check_count(name, value, of='iterations' if name == 'interval' else 'images')
        check_config('dataset', dataset)
        check_number('max_share', max_share, above=0)
        self.interval = interval
        self.num_images = num_images
        self.dataset = dataset
        self.max_share = max_share
        self._model: Any = None
        self._images: HeldOut | None = None
        self._best: dict[str, tuple[float, Pairs]] = {}
        self._started = self._spent = self._cost = 0.0
        self._measured_at = -1
        self._told = False

    # When.

    def before_train(self, runner: Any) -> None:
        """Load the images and measure the start, unless there is nothing to look at."""
        model: Any = unwrapped(runner.model)
        self._model = None
        if not len(getattr(model, 'objectives', ())):
            runner.logger.info(
                f'HealthHook has nothing to look at: the {type(model).__name__} has no objectives'
            )
            return
        self._model = model
        self._images, self._best = None, {}
        self._started, self._spent, self._told = time.perf_counter(), 0.0, False
        self._every = self.interval
        if self.interval is None and runner.val_loop is None:
            self._every = max(1, runner.max_iters // MEASUREMENTS)
        self._measured_at = runner.iter
        if STATE not in runner.message_hub.runtime_info:
            self._measure(runner)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Measure after every ``interval`` iterations."""
        if (
            self._model is not None
            and self._every
            and self.every_n_train_iters(runner, self._every)
        ):
            self._measure_if_cheap(runner, runner.iter + 1)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Measure after each validation of a training."""
        if self._model is not None and not self._every:
            self._measure_if_cheap(runner, runner.iter)

    def _measure_if_cheap(self, runner: Any, iteration: int) -> None:
        trained = time.perf_counter() - self._started - self._spent
        cheap = [self._spent + self._cost <= self.max_share * trained]
        broadcast_object_list(cheap)  # all processes measure, or none
        if cheap[0]:
            self._measure(runner, iteration)
        elif not self._told:
            self._told = True
            runner.logger.info(
                f'HealthHook: a measurement takes {self._cost:.1f} s, too much for '
                f'{self.max_share:.0%} of the {trained:.0f} s of training so far; some are left '
                'out. Lower num_images of the hook, or raise its max_share'
            )

    # What.

    def _measure(self, runner: Any, iteration: int | None = None) -> None:
        before = time.perf_counter()
        iteration = runner.iter if iteration is None else iteration
        with unchanged(self._model, runner.seed):
            if self._images is None:
                self._images = self._load(runner)
            measured = measure(self._model, self._images)
            ratios = gradient_ratios(self._model, self._images)
        scalars = measured.scalars
        scalars.update({f'{name}/gradient_ratio': ratio for name, ratio in ratios.items()})
        scalars.update(self._weights())
        scalars.update(self._from_log(runner, iteration - self._measured_at))
        scalars.update(self._surrogates(measured))
        self._measured_at = iteration
        self._cost = time.perf_counter() - before
        self._spent += self._cost
        self._conclude(runner, measured, iteration)

    def _load(self, runner: Any) -> HeldOut:
        candidates = dict(training=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            candidates = dict(validation=runner.val_loop.dataloader.dataset) | candidates
        if self.dataset is not None:
            candidates = {'dataset of the hook': DATASETS.build(copy.deepcopy(self.dataset))}
        scenes = isinstance(self._model, AdaptiveTextDetector)
        return held_out_images(
            candidates,
            runner.cfg,
            self.num_images or (SCENES if scenes else WORDS),
            labelled=not scenes,
        )

    def _weights(self) -> dict[str, float]:
        found = {}
        for name, objective in self._model.objectives.items():
            if (weights := objective.weight_now()) is not None:
                found[f'{name}/weight'], found[f'{name}/highest_weight'] = weights
        return found

    def _from_log(self, runner: Any, count: int) -> dict[str, float]:
        """Means over the last iterations of what self-training has logged."""
        found: dict[str, float] = {}
        logged = runner.message_hub.log_scalars
        for name in self._model.objectives if count > 0 else ():
            if f'train/{name}_kept' not in logged:
                continue
            for key in LOGGED:
                if f'train/{name}_{key}' in logged:
                    found[f'{name}/{key}'] = float(logged[f'train/{name}_{key}'].mean(count))
            loader = runner.train_dataloader
            counts = getattr(loader.sampler, 'counts', None)
            found[f'{name}/images'] = float(counts[-1] if counts else loader.batch_size or 0)
            found[f'{name}/batches'] = float(count)
        return found

    def _surrogates(self, measured: Measured) -> dict[str, float]:
        """Compare with the predictions that were best by the true metric."""
        found: dict[str, float] = {}
        for name, pairs in measured.pairs.items():
            value = measured.scalars[f'{name}/metric']
            if name in self._best:
                surrogate = self._model.objectives[name].surrogate
                change = surrogate_change(surrogate, self._best[name][1], pairs)
                found |= {f'{name}/{key}': x for key, x in change.items()}
            if name not in self._best or value < self._best[name][0]:
                self._best[name] = value, pairs
        return found

    def _about(self) -> dict[str, dict[str, Any]]:
        about: dict[str, dict[str, Any]] = {}
        for name, objective in self._model.objectives.items():
            about[name] = facts = dict(type=type(objective).__name__)
            if objective.gated_domains:
                facts['threshold'] = getattr(objective, 'threshold')
            if (rule := getattr(objective, 'keep', None)) is not None:
                facts['advice'] = rule.advice
        return about

    # To whom.

    def _conclude(self, runner: Any, measured: Measured, iteration: int) -> None:
        scalars = measured.scalars
        # In checkpoints, so that a resumed run knows its start.
        state = runner.message_hub.runtime_info.get(STATE)
        first = {**scalars, **state['first']} if state else scalars
        history = [first, *state['before'], scalars] if state else [scalars]
        findings = diagnose(history, self._about())
        self._report(runner, measured, first, findings, iteration)
        quiet = _warn(runner, findings, state['quiet'] if state else {}, iteration)
        before = [scalars] if state else []
        runner.message_hub.update_info(STATE, dict(first=first, before=before, quiet=quiet))

    def _report(
        self,
        runner: Any,
        measured: Measured,
        first: Mapping[str, float],
        findings: list[Finding],
        iteration: int,
    ) -> None:
        assert self._images is not None
        names = list(self._model.objectives)
        trained = max(time.perf_counter() - self._started - self._spent, 1e-9)
        share = f', {self._spent / trained:.1%} of the training so far' if iteration else ''
        lines = [
            f'Health at iteration {iteration} ({len(self._images.source)} source and '
            f'{len(self._images.target)} target images of the {self._images.origin}; '
            f'{self._cost:.1f} s{share}):',
            *report(measured, first, names),
        ]
        if findings:
            lines.append(f'faults: {", ".join(dict.fromkeys(f.fault for f in findings))}')
        runner.logger.info('\n  '.join(lines))
        scalars = {f'health/{name}': value for name, value in measured.scalars.items()}
        scalars['health/seconds'] = self._cost
        for name, value in scalars.items():
            runner.message_hub.update_scalar(name, value)
        runner.visualizer.add_scalars(scalars, step=iteration)


def _warn(
    runner: Any, findings: list[Finding], quiet: Mapping[str, int], iteration: int
) -> dict[str, int]:
    """Warn of new faults.

    Args:
        quiet: For how many measurements each fault that was warned of has been away.

    Returns:
        The same, after this measurement.
    """
    known = {key: count + 1 for key, count in quiet.items() if count < QUIET}
    for finding in findings:
        if finding.key not in known and may_warn(finding.key, 'HealthHook'):
            runner.logger.warning(warning(finding.message, iteration))
        known[finding.key] = 0
    return known
