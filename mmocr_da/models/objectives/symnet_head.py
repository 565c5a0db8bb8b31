"""Domain-symmetric networks (Zhang et al., CVPR 2019), for the characters of a sequence."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.arguments import check_flag, check_number, warn_unused
from mmocr_da.device import marked, on_host
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..decoders.character_features import CharacterFeatures
from ..decoders.classifier import module_replaced, without_class
from ..distributed import mean_over_ranks
from ..layers import reverse_gradient
from ..schedules import Schedule
from .domain_features import DomainFeatures
from .gate_watch import GateWatch
from .objective import DomainJudgement, Objective
from .symnet_losses import (
    category_confusion,
    confusion_of_domains,
    log_domains,
    symmetric_entropy,
    symmetric_logits,
    task_loss,
)

# Logits of C^s and of C^t for the same steps, (M, K) each.
Pair = tuple[Tensor, Tensor]


@MODELS.register_module()
class SymNetHead(Objective):
    """Two classifiers of characters, C^s and C^t, one per domain.

    C^s is the recognizer's own final classifier; C^t is a second classifier in this module. A
    softmax over the 2K logits of both predicts class and domain of a character. The classifiers
    learn to distinguish the domains; the features learn to make that impossible, class by class
    (eq. 11)::

        C^s, C^t: E_task^s + E_task^t + E_domain
        features: F_category + lambda * (F_domain + M)

    One backward pass does both: the losses of the classifiers use detached features, and the losses
    of the features use detached classifiers. Each loss is a mean over the characters of all ranks;
    the end token counts as one. For a CTC decoder, E_task and F_category count blank frames, too.
    The other losses use only frames that are a character, and only the logits of characters:
    whether a frame is blank is learned from the source. Otherwise M would make more and more frames
    of the target blank if it counted blank frames, or characters if it did not.

    With the recognizer's ``supervised_weight=0`` the features learn from these losses alone, as in
    the paper; with 1 they also learn from the source's supervised loss. That loss trains C^s, too:
    E_task^s then has the weight ``1 - supervised_weight``, and not less than 0.

    A checkpoint without C^t starts it as a copy of C^s. In training the target is decoded with C^s;
    in testing an attention decoder is fed the predictions of the predicting classifier.

    Args:
        weight: lambda, or the height of its schedule.
        schedule: How lambda follows the progress of training. ``'rising'`` is the paper's
            ``2 / (1 + exp(-10 p)) - 1``; see :class:`~mmocr_da.models.schedules.Schedule`.
        task_target: False leaves out E_task^t (eq. 6), "w/o E_task^t" in table 4. Then C^t has no
            labels, and ``predict_with`` must be ``'source'``.
        entropy: False leaves out M (eq. 10), "w/o M".
        confusion: ``'category'`` (eq. 8 and 9); ``'domain'``, eq. 12 instead of 8, "w/o category
            confusion", without a loss here that teaches the features classes; ``'none'``, eq. 13
            instead of 8 and no eq. 9, "w/o confusion". ``'reversal'`` is not in the paper: eq. 13
            instead of 8, and half of eq. 7 with reversed gradient instead of 9. The gradient of
            confusion vanishes if the classifiers are undecided on average; the reversed gradient
            does not.
        threshold: Target characters count if they are predicted with a higher probability, as in
            ASSDA; at 0 all do, as in the paper.
        predict_with: The classifier for ``pred_text`` in testing and for an export, ``'target'``
            (C^t) or ``'source'`` (C^s). Data samples also get both predictions, as
            ``pred_text_target`` and ``pred_text_source``.
    """

    name = 'symnet'
    needs_characters = True
    judges_domains = True

    #: C^t.
    classifier: nn.Module

    def __init__(
        self,
        weight: float = 1.0,
        schedule: str = 'rising',
        task_target: bool = True,
        entropy: bool = True,
        confusion: str = 'category',
        threshold: float = 0.0,
        predict_with: str = 'target',
    ) -> None:
        super().__init__()
        check_number('weight', weight, least=0)
        check_number('threshold', threshold, least=0, below=1, why='it is a probability')
        check_flag('task_target', task_target)
        check_flag('entropy', entropy)
        if confusion not in ('category', 'domain', 'none', 'reversal'):
            raise ValueError(
                "confusion must be 'category' (eq. 8), 'domain' (eq. 12), 'none' "
                f"(eq. 13) or 'reversal', got {confusion!r}"
            )
        if predict_with not in ('source', 'target'):
            raise ValueError(
                f"predict_with must be 'source' (C^s) or 'target' (C^t), got {predict_with!r}"
            )
        if not task_target and predict_with == 'target':
            raise ValueError(
                "task_target=False needs predict_with='source', got 'target': C^t "
                'would never see a label'
            )
        if confusion == 'none' and not entropy and (weight, schedule) != (1.0, 'rising'):
            warn_unused(
                'weight',
                weight,
                "it is the weight of what confusion='none' and entropy=False leave out",
            )
        self.schedule = Schedule(schedule, weight)
        self.task_target = task_target
        self.entropy = entropy
        self.confusion = confusion
        self.threshold = threshold
        self.gated_domains = ('target',) * bool(threshold)
        self._gate_watch = GateWatch('SymNetHead', threshold)
        self.predict_with = predict_with
        self.task_source_weight = 1.0
        self._source_classifier: list[nn.Module] = []

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Create C^t as a copy of the decoder's classifier, C^s."""
        own = adapter_of(recognizer.decoder).classifier
        # In a list, so that C^s is not also a submodule of this module.
        self._source_classifier = [own]
        self.classifier = copy.deepcopy(own)
        self.task_source_weight = max(0.0, 1.0 - recognizer.supervised_weight)

    def init_weights(self) -> None:
        """Copy C^s, which the decoder has initialized before, to C^t."""
        if self.is_init:
            return
        super().init_weights()
        self.classifier.load_state_dict(self._source_classifier[0].state_dict())

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute losses and log values by name, with lambda at the current iteration.

        Raises:
            RuntimeError: If :meth:`attach` was not called.
        """
        if not hasattr(self, 'classifier'):
            raise RuntimeError(
                'SymNetHead has no C^t yet; AdaptiveRecognizer creates it, in custom code call '
                'attach(recognizer)'
            )
        weight = self.schedule.now()
        of_source, of_target = source.characters, target.characters
        counted = of_target.comparable
        if self.threshold:
            counted = self.gate(of_target)
            if self.training:
                self._gate_watch.see(target=counted.sum())
        # Rows of all steps that count, and the comparable ones among the source's.
        supervised, comparable, counted = on_host(
            of_source.supervised, of_source.comparable, counted
        )
        x, labels = marked(of_source.hidden, supervised), marked(of_source.labels, supervised)
        z = marked(of_target.hidden, counted)
        comparable, blank = comparable[supervised], of_source.blank
        classifiers = of_source.classifier, self.classifier

        v_source, v_target = (symmetric_logits(f.detach(), *classifiers) for f in (x, z))
        pairs = _comparable_logits(v_source, v_target, comparable, blank)
        out = self._classifier_losses(v_source, labels, *pairs)
        v_source, v_target = (symmetric_logits(f, *classifiers, detach=True) for f in (x, z))
        pairs = _comparable_logits(v_source, v_target, comparable, blank)
        out.update(self._feature_losses(v_source, labels, pairs[0], pairs[1], weight))
        is_character = of_target.is_character
        out['target_length'] = is_character.sum() / max(len(is_character), 1)
        out['lambda'] = x.new_full((), weight, dtype=torch.float)
        return self.named(out)

    def _classifier_losses(
        self, all_source: Pair, labels: Tensor, source: Pair, target: Pair
    ) -> dict[str, Tensor]:
        """Compute the losses of C^s and C^t, on detached features (eq. 5 to 7).

        ``source`` and ``target`` are the comparable steps.
        """
        out = {}
        if self.task_source_weight:
            out['loss_task_source'] = self.task_source_weight * mean_over_ranks(
                task_loss(all_source[0], labels)
            )
        if self.task_target:
            out['loss_task_target'] = mean_over_ranks(task_loss(all_source[1], labels))
        log_source, log_target = log_domains(*source)[0], log_domains(*target)[1]
        out['loss_domain'] = -mean_over_ranks(log_source) - mean_over_ranks(log_target)
        for domain, right in (('source', log_source), ('target', log_target)):
            odds = right.detach().exp() - 0.5
            out[f'acc_{domain}'] = _mean_or((odds.sign() + 1) / 2, 0.5)  # a tie is half a guess
        by_source, by_target = (v.argmax(-1) for v in target)
        out['agreement'] = _mean_or((by_source == by_target).float(), 1.0)
        return out

    def _feature_losses(
        self, all_source: Pair, labels: Tensor, source: Pair, target: Pair, weight: float
    ) -> dict[str, Tensor]:
        """Compute the losses of the features, with constant classifiers (eq. 8 to 10)."""
        out = {}
        if self.confusion == 'category':
            category = category_confusion(*all_source, labels)
        elif self.confusion == 'domain':
            category = confusion_of_domains(*source)
        else:
            category = 0.5 * (task_loss(all_source[0], labels) + task_loss(all_source[1], labels))
        out['loss_category'] = mean_over_ranks(category)
        if self.confusion == 'reversal':
            reversed_source, reversed_target = (
                [reverse_gradient(v, weight) for v in pair] for pair in (source, target)
            )
            out['loss_confusion'] = -0.5 * (
                mean_over_ranks(log_domains(*reversed_source)[0])
                + mean_over_ranks(log_domains(*reversed_target)[1])
            )
        elif self.confusion != 'none':
            out['loss_confusion'] = weight * mean_over_ranks(confusion_of_domains(*target))
        entropy = mean_over_ranks(symmetric_entropy(*target))
        if self.entropy:
            out['loss_entropy'] = weight * entropy
        out['target_entropy'] = entropy.detach()
        return out

    # For ``HealthHook``.

    def judge_domains(self, domain: DomainFeatures) -> DomainJudgement:
        """Judge the characters that the domain losses compare, by eq. 7."""
        characters = domain.characters
        hidden = characters.hidden
        pair = symmetric_logits(hidden.flatten(0, 1), characters.classifier, self.classifier)
        log_source, log_target = log_domains(
            *(without_class(logits, characters.blank) for logits in pair)
        )
        odds = (log_target - log_source).reshape(hidden.shape[:2])
        return DomainJudgement(hidden, odds, characters.comparable.float())

    def gate(self, characters: CharacterFeatures) -> Tensor:
        """Mark the steps of the target with enough confidence."""
        return characters.comparable & characters.confident(self.threshold)

    # Hooks.

    def before_load(
        self, recognizer: EncoderDecoderRecognizer, state_dict: dict[str, Tensor], prefix: str
    ) -> None:
        """Check the alphabet of a checkpoint, and start C^t as a copy of C^s if it is missing.

        Raises:
            ValueError: If the checkpoint has another number of classes.
        """
        for key, value in self.classifier.state_dict().items():
            own, twin = self._keys(recognizer, key)
            for name in (own, twin):
                found = state_dict.get(prefix + name)
                if found is not None and found.shape != value.shape:
                    raise ValueError(
                        f'the checkpoint must be of the same dictionary, got {name} of shape '
                        f'{tuple(found.shape)} instead of {tuple(value.shape)}: C^t learns by the '
                        'classes of C^s; use the dict_file that the checkpoint was trained with'
                    )
            if prefix + own in state_dict and prefix + twin not in state_dict:
                print_log(f'{twin} starts as a copy of {own}', logger='current')
                state_dict[prefix + twin] = state_dict[prefix + own].clone()

    def predict(
        self,
        recognizer: EncoderDecoderRecognizer,
        decode: Callable[[], Any],
        data_samples: list[TextRecogDataSample] | None,
    ) -> Any:
        """Predict with both classifiers; ``pred_text`` comes from ``predict_with``."""
        texts = {}
        # The predicting classifier comes last, so that its output is returned.
        for domain in sorted(('source', 'target'), key=lambda domain: domain == self.predict_with):
            if data_samples is None and domain != self.predict_with:
                continue
            with self._predicting_with(recognizer, domain):
                out = decode()
            if data_samples is not None:
                texts[domain] = [copy.copy(sample.pred_text) for sample in data_samples]
        for domain, of_samples in texts.items():
            for sample, text in zip(data_samples or (), of_samples):
                sample.set_data({f'pred_text_{domain}': text})
        return out

    def _predicting_with(
        self, recognizer: EncoderDecoderRecognizer, domain: str
    ) -> AbstractContextManager[None]:
        if domain == 'source':
            return nullcontext()
        decoder = recognizer.decoder
        return module_replaced(decoder, adapter_of(decoder).classifier_path, self.classifier)

    @property
    def replaces_weights(self) -> bool:
        return self.predict_with == 'target'

    def before_export(
        self, recognizer: EncoderDecoderRecognizer, state_dict: dict[str, Tensor]
    ) -> None:
        """Put the weights of the predicting classifier into the plain model."""
        if not self.replaces_weights:
            return
        for key in self.classifier.state_dict():
            own, twin = self._keys(recognizer, key)
            if twin in state_dict:  # if it is missing, C^t is a copy of C^s
                state_dict[own] = state_dict[twin]

    def _keys(self, recognizer: EncoderDecoderRecognizer, key: str) -> tuple[str, str]:
        """Names of a weight of C^s and of the same weight of C^t in the recognizer."""
        own = f'decoder.{adapter_of(recognizer.decoder).classifier_path}'
        return f'{own}.{key}', f'objectives.{self.name}.classifier.{key}'


def _comparable_logits(
    source: Pair, target: Pair, comparable: Tensor, blank: int | None
) -> list[Pair]:
    """Logits for the domain losses: comparable steps, blank class removed."""
    v_s, v_t = (marked(v, comparable) for v in source)
    return [
        (without_class(v_s, blank), without_class(v_t, blank)) for v_s, v_t in ((v_s, v_t), target)
    ]


def _mean_or(values: Tensor, otherwise: float) -> Tensor:
    """Mean of the values; ``otherwise`` if there are none."""
    return values.mean() if len(values) else values.new_full((), otherwise)
