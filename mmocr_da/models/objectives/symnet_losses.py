"""The losses of SymNets (Zhang et al., CVPR 2019): logits ``v^s`` and ``v^t`` of two classifiers.

``p^st`` is the softmax over both, ``2K`` probabilities: the first ``K`` belong to the source.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..decoders.classifier import classify


def symmetric_logits(
    features: Tensor, source: nn.Module, target: nn.Module, detach: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute ``v^s`` and ``v^t`` from ``(M, H)`` features, ``(M, K)`` each.

    Args:
        features: Inputs of the classifiers.
        source, target: C^s and C^t.
        detach: Whether to treat the classifiers as constants, without a gradient.

    Raises:
        ValueError: If the classifiers have different numbers of classes.
    """
    v_s, v_t = (classify(features, classifier, detach) for classifier in (source, target))
    if v_s.size(-1) != v_t.size(-1):
        raise ValueError(
            'C^s and C^t must have the same classes in the same order, got '
            f'{v_s.size(-1)} and {v_t.size(-1)} of them; both need one dictionary'
        )
    return v_s, v_t


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross-entropy of one classifier (eq. 5 and 6), ``(M, K), (M,) -> (M,)``."""
    return F.cross_entropy(logits, labels, reduction='none')


def log_domains(v_s: Tensor, v_t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``log sum_k p^st_k`` and ``log sum_k p^st_{k+K}`` (eq. 7 and 9), ``(M,)`` each.

    Differences of log-sum-exps stay finite where the probabilities underflow.

    >>> [x.item() for x in log_domains(torch.tensor([[0., -200.]]), torch.tensor([[-200., 0.]]))]
    [-0.6931471824645996, -0.6931471824645996]
    >>> [x.item() for x in log_domains(torch.tensor([[200., 0.]]), torch.tensor([[0., -200.]]))]
    [0.0, -200.0]
    """
    odds = v_s.logsumexp(-1) - v_t.logsumexp(-1)
    return F.logsigmoid(odds), F.logsigmoid(-odds)


def log_pairs(v_s: Tensor, v_t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``log p^st_k`` and ``log p^st_{k+K}``, ``(M, K)`` each."""
    log_p = torch.cat([v_s, v_t], -1).log_softmax(-1)
    log_source, log_target = log_p.chunk(2, -1)
    return log_source, log_target


def category_confusion(v_s: Tensor, v_t: Tensor, labels: Tensor) -> Tensor:
    """Compute F_category (eq. 8), ``(M,)``: each classifier should give the label half."""
    index = labels[:, None]
    log_s, log_t = log_pairs(v_s, v_t)
    return -0.5 * (log_s.gather(-1, index) + log_t.gather(-1, index)).squeeze(-1)


def confusion_of_domains(v_s: Tensor, v_t: Tensor) -> Tensor:
    """Compute F_domain (eq. 9) and its form for the source (eq. 12), ``(M,)``."""
    log_source, log_target = log_domains(v_s, v_t)
    return -0.5 * (log_source + log_target)


def symmetric_entropy(v_s: Tensor, v_t: Tensor) -> Tensor:
    """Compute M (eq. 10), ``(M,)``: the entropy of ``q_k = p^st_k + p^st_{k+K}``."""
    log_q = torch.logaddexp(*log_pairs(v_s, v_t))
    return -(log_q.exp() * log_q).sum(-1)
