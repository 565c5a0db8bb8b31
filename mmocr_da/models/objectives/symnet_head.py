"""Domain-symmetric networks (Zhang et al., CVPR 2019), for the characters of a sequence."""

import copy

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.decoders.base import BaseDecoder
from torch import Tensor, nn

from mmocr_da.arguments import check_number, warn_unused
from mmocr_da.device import marked, on_host
from mmocr_da.registry import MODELS

from ..decoders.character_features import classifier_path, classify, without_class
from ..distributed import mean_over_ranks
from ..layers import reverse_gradient
from ..schedules import Schedule
from .domain_features import DomainFeatures
from .gate_watch import GateWatch
from .objective import Objective

# Logits of C^s and of C^t for the same steps, (M, K) each.
Pair = tuple[Tensor, Tensor]


@MODELS.register_module()
class SymNetHead(Objective):
    """Two classifiers of characters, C^s and C^t, that share everything but the domain.

    C^s is the recognizer's own final classifier, C^t a twin of it that lives here. A softmax over
    the logits of both, 2K of them, says class and domain of a character. The classifiers learn to
    tell the domains apart, the features to make that impossible, class by class (eq. 11)::

        C^s, C^t: E_task^s + E_task^t + E_domain
        features: F_category + lambda * (F_domain + M)

    One backward does both: the classifiers see detached features, the features see detached
    classifiers. Each loss is a mean over the characters of all ranks; the end token is one. Of a
    CTC decoder, E_task and F_category count blank frames, too. The other losses look at frames
    that are a character, and there at the classes of characters alone: whether a frame is one is
    learned from the source. Otherwise M would turn ever more frames of the target into blanks,
    where it counts them, or into characters, where it does not.

    With the recognizer's ``supervised_weight=0`` the features learn from these losses alone, as in
    the paper; with 1 they also learn from the source's supervised loss. That loss trains C^s, too:
    E_task^s then has the weight ``1 - supervised_weight``, and not less than 0.

    A checkpoint without C^t starts it as a copy of C^s. In training the target is read with C^s;
    in testing an attention decoder feeds back what the predicting classifier reads.

    Args:
        weight: lambda, or the height of its schedule.
        schedule: How lambda follows the progress of training. ``'rising'`` is the paper's
            ``2 / (1 + exp(-10 p)) - 1``; see :class:`~mmocr_da.models.schedules.Schedule`.
        task_target: False leaves out E_task^t (eq. 6), "w/o E_task^t" in table 4. C^t then has no
            labels, so ``predict_with='source'``.
        entropy: False leaves out M (eq. 10), "w/o M".
        confusion: ``'category'`` (eq. 8 and 9); ``'domain'``, eq. 12 instead of 8, "w/o category
            confusion", in which no loss here tells the features of classes; ``'none'``, eq. 13
            instead of 8 and nothing of 9, "w/o confusion". Not of the paper: ``'reversal'``, eq. 13
            instead of 8, and instead of 9 half of eq. 7 with its gradient reversed. Confusion stops
            to pull where the classifiers are undecided on average; a reversed gradient does not.
        threshold: Target characters count if they are read with a higher probability, as in ASSDA;
            at 0 all do, as in the paper.
        predict_with: Whose reading is ``pred_text`` in testing, ``'target'`` (C^t) or ``'source'``,
            and whose weights an export gets. Both readings are there as ``pred_text_target`` and
            ``pred_text_source``.
    """

    name = 'symnet'
    needs_characters = True

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
        self._gate_watch = GateWatch('SymNetHead', threshold)
        self.predict_with = predict_with
        self.classifier = None
        self.task_source_weight = 1.0

    def attach(self, decoder: BaseDecoder, supervised_weight: float) -> None:
        """Make C^t for a recognizer's decoder."""
        self.classifier = copy.deepcopy(decoder.get_submodule(classifier_path(decoder)))
        self.task_source_weight = max(0.0, 1.0 - supervised_weight)

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Losses and log values by name; lambda is read off the iteration."""
        if self.classifier is None:
            raise RuntimeError(
                'SymNetHead has no C^t yet; AdaptiveRecognizer makes it, in code of '
                'your own call attach(decoder, supervised_weight)'
            )
        weight = self.schedule.now()
        source, target = source.characters, target.characters
        counted = target.compared
        if self.threshold:
            counted = counted & target.confident(self.threshold)
            if self.training:
                self._gate_watch.see(target=counted.sum())
        # Rows of all steps that count, and which of the source's are compared with the target's.
        answered, compared, counted = on_host(source.answered, source.compared, counted)
        x, y = marked(source.hidden, answered), marked(source.targets, answered)
        z = marked(target.hidden, counted)
        compared, blank = compared[answered], source.blank
        pair = source.classifier, self.classifier

        of_source, of_target = (symmetric_logits(f.detach(), *pair) for f in (x, z))
        out = self._of_classifiers(
            of_source, y, *_characters(of_source, of_target, compared, blank)
        )
        of_source, of_target = (symmetric_logits(f, *pair, detach=True) for f in (x, z))
        out.update(
            self._of_features(
                of_source, y, *_characters(of_source, of_target, compared, blank), weight
            )
        )
        out['target_length'] = target.valid.sum() / max(len(target.valid), 1)
        out['lambda'] = x.new_full((), weight, dtype=torch.float)
        return {
            f'loss_{self.name}_{k[5:]}' if k.startswith('loss_') else f'{self.name}_{k}': v
            for k, v in out.items()
        }

    def _of_classifiers(
        self, every: Pair, targets: Tensor, compared_source: Pair, compared_target: Pair
    ) -> dict[str, Tensor]:
        """Losses of C^s and C^t, whose features are detached (eq. 5 to 7)."""
        out = {}
        if self.task_source_weight:
            out['loss_task_source'] = self.task_source_weight * mean_over_ranks(
                task_loss(every[0], targets)
            )
        if self.task_target:
            out['loss_task_target'] = mean_over_ranks(task_loss(every[1], targets))
        log_source = log_domains(*compared_source)[0]
        log_target = log_domains(*compared_target)[1]
        out['loss_domain'] = -mean_over_ranks(log_source) - mean_over_ranks(log_target)
        for domain, right in (('source', log_source), ('target', log_target)):
            odds = right.detach().exp() - 0.5
            out[f'acc_{domain}'] = _mean_or((odds.sign() + 1) / 2, 0.5)  # a tie is half a guess
        readings = [v.argmax(-1) for v in compared_target]
        out['agreement'] = _mean_or((readings[0] == readings[1]).float(), 1.0)
        return out

    def _of_features(
        self,
        every: Pair,
        targets: Tensor,
        compared_source: Pair,
        compared_target: Pair,
        weight: float,
    ) -> dict[str, Tensor]:
        """Losses of the features, to which the classifiers are constants (eq. 8 to 10)."""
        out = {}
        if self.confusion == 'category':
            category = category_confusion(*every, targets)
        elif self.confusion == 'domain':
            category = confusion_of_domains(*compared_source)
        else:
            category = 0.5 * (task_loss(every[0], targets) + task_loss(every[1], targets))
        out['loss_category'] = mean_over_ranks(category)
        if self.confusion == 'reversal':
            reversed_source, reversed_target = (
                [reverse_gradient(v, weight) for v in pair]
                for pair in (compared_source, compared_target)
            )
            out['loss_confusion'] = -0.5 * (
                mean_over_ranks(log_domains(*reversed_source)[0])
                + mean_over_ranks(log_domains(*reversed_target)[1])
            )
        elif self.confusion != 'none':
            out['loss_confusion'] = weight * mean_over_ranks(confusion_of_domains(*compared_target))
        entropy = mean_over_ranks(symmetric_entropy(*compared_target))
        if self.entropy:
            out['loss_entropy'] = weight * entropy
        out['target_entropy'] = entropy.detach()
        return out


def _characters(
    source: Pair, target: Pair, compared: Tensor, blank: int | None
) -> tuple[Pair, Pair]:
    """What the domains are compared by: steps that can be, and not how sure they are of a blank."""
    v_s, v_t = source
    source = marked(v_s, compared), marked(v_t, compared)
    return tuple(tuple(without_class(v, blank) for v in pair) for pair in (source, target))


def symmetric_logits(
    features: Tensor, source: nn.Module, target: nn.Module, detach: bool = False
) -> tuple[Tensor, Tensor]:
    """``v^s`` and ``v^t`` of ``(M, H)`` features, ``(M, K)`` each; see `classify`."""
    v_s, v_t = (classify(features, classifier, detach) for classifier in (source, target))
    if v_s.size(-1) != v_t.size(-1):
        raise ValueError(
            'C^s and C^t must have the same classes in the same order, got '
            f'{v_s.size(-1)} and {v_t.size(-1)} of them; both need one dictionary'
        )
    return v_s, v_t


def task_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of one classifier (eq. 5 and 6), ``(M, K), (M,) -> (M,)``."""
    return F.cross_entropy(logits, targets, reduction='none')


def log_domains(v_s: Tensor, v_t: Tensor) -> tuple[Tensor, Tensor]:
    """``log sum_k p^st_k`` and ``log sum_k p^st_{k+K}`` (in eq. 7 and 9), ``(M,)`` each.

    A sum of probabilities that underflow has no logarithm; a difference of log-sum-exps has.

    >>> [x.item() for x in log_domains(torch.tensor([[0., -200.]]), torch.tensor([[-200., 0.]]))]
    [-0.6931471824645996, -0.6931471824645996]
    >>> [x.item() for x in log_domains(torch.tensor([[200., 0.]]), torch.tensor([[0., -200.]]))]
    [0.0, -200.0]
    """
    odds = v_s.logsumexp(-1) - v_t.logsumexp(-1)
    return F.logsigmoid(odds), F.logsigmoid(-odds)


def log_pairs(v_s: Tensor, v_t: Tensor) -> tuple[Tensor, Tensor]:
    """``log p^st_k`` and ``log p^st_{k+K}``, ``(M, K)`` each."""
    log_p = torch.cat([v_s, v_t], -1).log_softmax(-1)
    return log_p.chunk(2, -1)


def category_confusion(v_s: Tensor, v_t: Tensor, targets: Tensor) -> Tensor:
    """F_category (eq. 8), ``(M,)``: the true class, half of it in either classifier."""
    index = targets[:, None]
    log_s, log_t = log_pairs(v_s, v_t)
    return -0.5 * (log_s.gather(-1, index) + log_t.gather(-1, index)).squeeze(-1)


def confusion_of_domains(v_s: Tensor, v_t: Tensor) -> Tensor:
    """F_domain (eq. 9) and its form for the source (eq. 12), ``(M,)``."""
    log_source, log_target = log_domains(v_s, v_t)
    return -0.5 * (log_source + log_target)


def symmetric_entropy(v_s: Tensor, v_t: Tensor) -> Tensor:
    """M (eq. 10), ``(M,)``: the entropy of ``q_k = p^st_k + p^st_{k+K}``."""
    log_q = torch.logaddexp(*log_pairs(v_s, v_t))
    return -(log_q.exp() * log_q).sum(-1)


def _mean_or(values: Tensor, otherwise: float) -> Tensor:
    """Mean of the values; something else where there are none."""
    return values.mean() if len(values) else values.new_full((), otherwise)
