"""Gives metrics that need no labels what they are computed from."""

import zlib
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import islice
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner.amp import autocast
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample

from mmocr_da.arguments import warn_unused
from mmocr_da.datasets.label_texts import labels_of
from mmocr_da.evaluation import DEVMetric, LabelFreeMetric
from mmocr_da.evaluation.label_free_metric import OF_OTHERS
from mmocr_da.models.decoders import keeping_details
from mmocr_da.models.objectives.teacher_objective import TeacherObjective
from mmocr_da.models.weak_batch import without_label
from mmocr_da.registry import HOOKS

from ..model_parts import unwrapped
from ..perturbation import perturbed

#: Labels of the source that are taken at most.
MOST_TEXTS = 200_000


@HOOKS.register_module()
class LabelFreeHook(Hook):
    """Let predictions of validation and testing keep what label-free metrics need.

    It is for :class:`~mmocr_da.evaluation.LabelFreeMetric` and
    :class:`~mmocr_da.evaluation.DEVMetric`, and finds out what those of the evaluator need:

    * Details of each prediction: probabilities, confidence, a feature
      (:func:`mmocr_da.models.decoders.keeping_details`).
    * For ``agreement``, ``pred_text_perturbed``: the prediction of the image after a small shift, a
      change of contrast and brightness, and noise (:mod:`mmocr_da.engine.perturbation`), the same
      in every validation. It costs a second pass.
    * For ``teacher_agreement``, ``pred_text_counterpart``: the prediction of the student if the
      teacher predicts, or the reverse. It costs a second pass, too.
    * For ``characters`` and ``lengths``, the labels of the source that is trained on, unless the
      metric has texts.
    """

    def __init__(self) -> None:
        self._within = ExitStack()
        self._kinds: tuple[str, ...] = ()
        self._loop: Any = None
        self._warned = False

    def before_val_epoch(self, runner: Any) -> None:
        """See the class."""
        self._begin(runner, runner.val_loop)

    def before_test_epoch(self, runner: Any) -> None:
        """See the class."""
        self._begin(runner, runner.test_loop)

    def _begin(self, runner: Any, loop: Any) -> None:
        """Find out what the metrics need.

        Raises:
            ValueError: If the model cannot give it.
        """
        self._within.close()  # of a validation that an error has ended
        self._loop, model = loop, unwrapped(runner.model)
        metrics = [m for m in loop.evaluator.metrics if isinstance(m, (LabelFreeMetric, DEVMetric))]
        if not isinstance(model, EncoderDecoderRecognizer):
            raise ValueError(
                'LabelFreeHook needs a recognizer of MMOCR with encoder and decoder, got a '
                f'{type(model).__name__}; remove the hook and the metrics'
            )
        if not metrics and not self._warned:
            self._warned = True
            warn_unused('LabelFreeHook', 'custom_hooks', 'no metric of the evaluator needs it')
        scores = {score for m in metrics if isinstance(m, LabelFreeMetric) for score in m.scores}
        self._kinds = tuple(score for score in OF_OTHERS if score in scores)
        if 'teacher_agreement' in self._kinds:
            teacher_of(model)
        for metric in metrics:
            if isinstance(metric, LabelFreeMetric) and metric.needs_texts and is_main_process():
                metric.texts = source_labels(runner)
        if metrics:
            self._within.enter_context(keeping_details(model))

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Make the other predictions of a batch, and put them into its data samples."""
        self._predict_others(runner.model, data_batch)

    def before_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """See :meth:`before_val_iter`."""
        self._predict_others(runner.model, data_batch)

    @torch.no_grad()
    def _predict_others(self, model: Any, data_batch: dict[str, Any]) -> None:
        for kind in self._kinds:
            samples = data_batch['data_samples']
            inputs = list(data_batch['inputs'])
            within: AbstractContextManager[None] = nullcontext()
            if kind == 'agreement':
                inputs = [
                    perturbed(image, _seed(sample, i), sample.get('valid_ratio', 1.0))
                    for i, (image, sample) in enumerate(zip(inputs, samples))
                ]
            else:
                within = teacher_of(unwrapped(model)).predicting_with_the_other()
            batch = dict(inputs=inputs, data_samples=[*map(without_label, samples)])
            with within, autocast(enabled=getattr(self._loop, 'fp16', False)):
                predicted = model.val_step(batch)
            for sample, other in zip(samples, predicted):
                sample.set_data({OF_OTHERS[kind]: other.pred_text})

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Let the model predict as before."""
        self._within.close()

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Let the model predict as before."""
        self._within.close()


def teacher_of(model: Any) -> TeacherObjective:
    """Return the objective of a recognizer with a teacher.

    Raises:
        ValueError: If it has none.
    """
    for objective in getattr(model, 'objectives', {}).values():
        if isinstance(objective, TeacherObjective):
            return objective
    raise ValueError(
        "the score 'teacher_agreement' needs a recognizer with a teacher, as "
        f'mmocr_da.SelfTraining has, got a {type(model).__name__} without; remove it from scores'
    )


def source_labels(runner: Any) -> list[str]:
    """Return the labels of the source that a runner trains on; none if it does not train."""
    dataset = getattr(getattr(runner._train_loop, 'dataloader', None), 'dataset', None)
    # Of a target there are none: its datasets are unlabelled ones.
    labels = (text for _, text in labels_of(dataset) if text)
    return [*islice(labels, MOST_TEXTS)]


def _seed(sample: TextRecogDataSample, position: int) -> int:
    return zlib.crc32(str(sample.get('img_path', position)).encode())
