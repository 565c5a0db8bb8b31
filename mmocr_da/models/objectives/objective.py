"""The interface between ``AdaptiveRecognizer`` and an objective."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from mmengine.model import BaseModule
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from ..decoders.character_features import CharacterFeatures
from ..schedules import Schedule
from .domain_features import DomainFeatures
from .recognizer_copy import RecognizerCopy


class DomainJudgement(NamedTuple):
    """What an objective that tells the domains apart makes of the ``N`` images of one domain.

    Attributes:
        features: ``(N, S, D)``, the rows that it judges.
        logits: ``(N, S)``, above 0 for the target.
        weights: ``(N, S)``, 0 for rows that do not count.
    """

    features: Tensor
    logits: Tensor
    weights: Tensor


class Objective(BaseModule):
    """Converts the features of source and target into losses and log values by name.

    A custom objective sets ``needs_*`` and defines :meth:`forward`; the recognizer computes only
    the features that an objective needs. Its parameters are trained with the recognizer and dropped
    at export. Six hooks are optional: :meth:`after_step`, :meth:`before_load`, :meth:`testing`,
    :meth:`predict`, :meth:`before_export` and :meth:`copies`. :meth:`judge_domains` and
    :meth:`gate` let ``HealthHook`` look at it.
    """

    #: Prefix of the names in the log; a model has one objective of each name.
    name = ''
    #: The kind of model that it adapts, ``'recognizer'`` or ``'detector'``.
    adapts = 'recognizer'
    #: Whether it uses single characters, ``DomainFeatures.characters``.
    needs_characters = False
    #: Whether it uses a greedy prediction of the source, ``DomainFeatures.prediction``.
    needs_prediction = False
    #: Whether it uses the source. If nothing does, the training needs no source images.
    needs_source = True
    #: Whether it tells the domains apart, see :meth:`judge_domains`.
    judges_domains = False
    #: The domains whose characters pass a gate, see :meth:`gate`.
    gated_domains: tuple[str, ...] = ()
    #: Whether it uses the target. If no objective does, images need no domain and count as source.
    needs_target = True

    @property
    def freezes_recognizer(self) -> bool:
        """Whether this iteration trains the objective alone, and the recognizer is frozen.

        The supervised loss and objectives that do not freeze the recognizer are then skipped.
        """
        return False

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Prepare for a recognizer; called once, before there is an optimizer.

        Raises:
            ValueError: If the objective does not fit the recognizer.
        """

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute losses and log values; the name of a loss contains ``'loss'``.

        They are in the log under these names, so :meth:`named` puts the objective's name into them.
        """
        raise NotImplementedError

    def named(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add the objective's name to the names of values: ``x``, ``loss`` or ``loss_x``.

        >>> objective = Objective()
        >>> objective.name = 'mine'
        >>> list(objective.named(dict(loss=0, loss_fit=0, error=0)))
        ['loss_mine', 'loss_mine_fit', 'mine_error']
        """
        return {
            f'loss_{self.name}{k[4:]}' if f'{k}_'.startswith('loss_') else f'{self.name}_{k}': value
            for k, value in values.items()
        }

    # For ``HealthHook``, without a gradient.

    def judge_domains(self, domain: DomainFeatures) -> DomainJudgement:
        """Judge which domain features are of, for objectives with :attr:`judges_domains`."""
        raise NotImplementedError

    def gate(self, characters: CharacterFeatures) -> Tensor:
        """Mark the characters that it uses, ``(N, T)`` bool, of :attr:`gated_domains`."""
        raise NotImplementedError

    def weight_now(self) -> tuple[float, float] | None:
        """Return its weight at the current iteration and the highest one; None without a weight."""
        schedule, weight = getattr(self, 'schedule', None), getattr(self, 'weight', None)
        if isinstance(schedule, Schedule):
            return schedule.now(), schedule.high
        return None if weight is None else (weight, weight)

    # Hooks.

    def after_step(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Act after the optimizer has changed weights, once per step and before a checkpoint.

        ``AfterStepHook`` calls it, which every run of this package's ``tools/train.py`` and every
        ``ResumableIterBasedTrainLoop`` has.
        """

    def before_load(
        self, recognizer: EncoderDecoderRecognizer, state_dict: dict[str, Tensor], prefix: str
    ) -> None:
        """Complete or refuse a checkpoint of the recognizer before its weights are loaded.

        Args:
            recognizer: The recognizer that loads it.
            state_dict: The checkpoint, changed in place.
            prefix: Prefix of the recognizer's keys.
        """

    def testing(self, recognizer: EncoderDecoderRecognizer) -> AbstractContextManager[None]:
        """Return a context in which the recognizer encodes and decodes in testing."""
        return nullcontext()

    def predict(
        self,
        recognizer: EncoderDecoderRecognizer,
        decode: Callable[[], Any],
        data_samples: list[TextRecogDataSample] | None,
    ) -> Any:
        """Decode in testing.

        Args:
            recognizer: The recognizer that predicts.
            decode: Runs the decoder and returns its output; it may be called more than once.
            data_samples: Samples that get the predictions as ``pred_text``; None in the mode
                ``'tensor'``.

        Returns:
            An output of ``decode``.
        """
        return decode()

    def copies(self) -> Sequence[RecognizerCopy]:
        """Return copies of the recognizer that are used in training, such as a teacher.

        ``AdaBNHook`` gives them the statistics of the target, too.
        """
        return ()

    @property
    def replaces_weights(self) -> bool:
        """Whether :meth:`before_export` changes weights of the recognizer."""
        return False

    def before_export(
        self, recognizer: EncoderDecoderRecognizer, state_dict: dict[str, Tensor]
    ) -> None:
        """Change the recognizer's own weights so that the plain model predicts the same.

        Args:
            recognizer: The recognizer that is exported.
            state_dict: All its weights, changed in place; objectives' weights are dropped later.
        """
