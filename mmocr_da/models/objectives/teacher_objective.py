"""What objectives have in common whose labels are predictions of an EMA teacher."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmocr_da.arguments import check_config, check_count, check_number, warn_unused
from mmocr_da.registry import MODELS

from ..schedules import Schedule, current_iteration
from .confidence_rules import ConfidenceRule
from .objective import Objective
from .recognizer_copy import RecognizerCopy
from .teacher import Teacher

#: Number of batches that accumulated gradients may take for one step of the optimizer.
PATIENCE = 500


class TeacherObjective(Objective):
    """An objective with a teacher, a moving average of the model that follows after each step.

    The teacher is in the checkpoint. It starts as a copy of the model, also where a checkpoint
    without a teacher is loaded. Iterations that freeze the model do not change it.

    Args:
        weight: Weight of the loss.
        schedule: How the weight follows the progress of training, see
            :class:`~mmocr_da.models.schedules.Schedule`.
        ramp: Number of iterations in which the weight rises linearly from 0, in addition to the
            schedule; 0 for none.
        threshold: Predictions are kept with at least this confidence, 0 to 1; 0.5 if ``keep`` is
            not given.
        keep: Config of another rule for the predictions that are kept, in place of ``threshold``.
        decay: Share of the teacher that stays at each step, 0 to 1.
        predict_with: Who predicts in testing and is exported, ``'teacher'`` or ``'student'``. With
            ``decay=1`` only the student learns.
    """

    needs_source = False

    def __init__(
        self,
        weight: float,
        schedule: str,
        ramp: int,
        threshold: float | None,
        keep: dict[str, Any] | None,
        decay: float,
        predict_with: str,
    ) -> None:
        super().__init__()
        check_number('weight', weight, least=0)
        check_number('decay', decay, least=0, most=1, why='it is a share')
        check_count('ramp', ramp, least=0, of='iterations')
        check_config('keep', keep)
        if predict_with not in ('teacher', 'student'):
            raise ValueError(f"predict_with must be 'teacher' or 'student', got {predict_with!r}")
        if keep is None:
            threshold = 0.5 if threshold is None else threshold
            keep = dict(type='mmocr_da.ConfidenceThreshold', threshold=threshold)
        elif threshold is not None:
            raise ValueError(
                f'{type(self).__name__} needs threshold or keep, got threshold={threshold} and '
                f'keep={keep}; remove one of them'
            )
        if weight == 0:
            warn_unused(
                'weight', weight, f'{type(self).__name__} trains nothing, it is only logged'
            )
        if decay == 1 and predict_with == 'teacher':
            warn_unused(
                'predict_with',
                predict_with,
                f'with decay=1 the teacher of {type(self).__name__} stays as it is loaded, so what '
                "is tested and exported learns nothing; set predict_with='student'",
            )
        self.schedule = Schedule(schedule, weight)
        self.ramp = ramp
        self.keep: ConfidenceRule = MODELS.build(keep)
        self.decay = decay
        self.predict_with = predict_with
        self._model: list[Any] = []
        self._step_due = False
        self._batches_without_step = 0

    def attach(self, model: nn.Module) -> None:
        """Create the teacher."""
        # In a list, so that the model is not a submodule of its objective.
        self._model = [model]
        self.teacher = Teacher(model)

    def init_weights(self) -> None:
        """Copy the model, which has been initialized before, to the teacher."""
        if self.is_init:
            return
        super().init_weights()
        self.teacher.copy_from(self._model[0])

    def _learned(self) -> None:
        """Note that the student learns from this batch, so that the teacher follows it."""
        if self.training and torch.is_grad_enabled():
            self._check_steps()
            self._step_due = True

    def _check_steps(self) -> None:
        """Raise a ValueError if nobody says when the optimizer makes a step."""
        self._batches_without_step += 1
        if self._batches_without_step > PATIENCE and self.decay < 1:
            raise ValueError(
                f'the teacher of {type(self).__name__} has not followed the student for {PATIENCE} '
                'batches: nobody called after_step of the model. Train with the tools/train.py of '
                "mmocr_da or with train_cfg.type='mmocr_da.ResumableIterBasedTrainLoop', or add "
                "dict(type='mmocr_da.AfterStepHook') to custom_hooks"
            )

    def _weight(self) -> float:
        weight = self.schedule.now()
        return weight * min(1.0, current_iteration()[0] / self.ramp) if self.ramp else weight

    def weight_now(self) -> tuple[float, float]:
        """Return the weight with its ramp, and the height of its schedule."""
        return self._weight(), self.schedule.high

    # Hooks.

    def after_step(self, model: Any) -> None:
        """Let the teacher follow the student, if the student was trained since the last time."""
        self._batches_without_step = 0
        if self._step_due:
            self._step_due = False
            self.teacher.follow(model, self.decay)

    def before_load(self, model: Any, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Start the teacher as a copy of the model where a checkpoint has no teacher."""
        rule = f'{prefix}objectives.{self.name}.keep.'
        for key, value in self.keep.state_dict().items():
            state_dict.setdefault(rule + key, value)
        if copied := self.teacher.complete(state_dict, prefix, self._at):
            print_log(
                f'the teacher of {type(self).__name__} starts as a copy of {len(copied)} weights '
                'of the model',
                logger='current',
            )

    def testing(self, model: Any) -> AbstractContextManager[None]:
        """Predict with the teacher, if it is the one that predicts."""
        return self.teacher.replacing(model) if self.replaces_weights else nullcontext()

    @contextmanager
    def predicting_with_the_other(self) -> Iterator[None]:
        """Let the student predict instead of the teacher, or the reverse, within the block."""
        own = self.predict_with
        self.predict_with = 'student' if own == 'teacher' else 'teacher'
        try:
            yield
        finally:
            self.predict_with = own

    @property
    def replaces_weights(self) -> bool:
        return self.predict_with == 'teacher'

    def before_export(self, model: Any, state_dict: dict[str, Tensor]) -> None:
        """Put the teacher into the plain model, if it is the one that predicts."""
        for own, twin in self.teacher.keys(self._at) if self.replaces_weights else ():
            if twin in state_dict:  # if it is missing, the teacher is a copy
                state_dict[own] = state_dict[twin]

    def copies(self) -> Sequence[RecognizerCopy]:
        """The teacher."""
        return (self.teacher,)

    @property
    def _at(self) -> str:
        return f'objectives.{self.name}.teacher'
