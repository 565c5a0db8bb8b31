"""Minimum risk: the expected edit distance as a loss (Prabhavalkar et al., ICASSP 2018)."""

from collections.abc import Sequence

import editdistance
import torch
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.arguments import check_choice, check_count, check_flag, check_number
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..decoders.drawing import Word
from ..distributed import mean_over_ranks
from .domain_features import DomainFeatures
from .objective import Objective

ESTIMATES = ('sample', 'n-best')


@MODELS.register_module()
class MinimumRisk(Objective):
    """The expected edit distance of a recognizer's texts to the label, as a loss.

    The risk of an image is ``sum_y P(y | image) W(y)`` over all texts, with the edit distance ``W``
    to its label. It is estimated by texts that are drawn from the recognizer. It is meant to tune a
    trained recognizer: give a ``load_from``, and little of the supervised loss beside it. The paper
    has 0.01 of the sum over the characters of a text: of a loss that is their mean,
    ``supervised_weight=0.08`` for texts of 7 characters and an end. It looks at the labelled images
    alone. Where all drawn texts of an image have the same distance, the image teaches nothing.

    Works with decoders that predict one character after the other, with ABINet and with CTC. The
    texts of CTC are what remains of drawn frames; their probability is the sum over all paths.

    The log shows ``edits``, the mean edit distance of the drawn texts, and ``informative``, the
    share of images with drawn texts of unequal distances.

    Args:
        weight: Weight of the risk.
        num_texts: N, the number of texts that are drawn for an image.
        estimate: ``'sample'``, the mean over the drawn texts: its expected gradient is that of the
            risk. ``'n-best'``, the paper's loss of hypotheses: the sum over the different drawn
            texts, with probabilities that are normalized over these, of ``W`` minus its mean. The
            paper takes them from beam search.
        normalized: Divide the edit distance by the length of the label.

    Raises:
        ValueError: If an option is out of range.
    """

    name = 'minimum_risk'
    needs_target = False

    def __init__(
        self,
        weight: float = 1.0,
        num_texts: int = 4,
        estimate: str = 'sample',
        normalized: bool = False,
    ) -> None:
        super().__init__()
        check_number('weight', weight, above=0)
        check_count('num_texts', num_texts, least=2, why='a text is compared with the others')
        check_choice('estimate', estimate, ESTIMATES)
        check_flag('normalized', normalized)
        self.weight = weight
        self.num_texts = num_texts
        self.estimate = estimate
        self.normalized = normalized

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check that texts can be drawn from the decoder."""
        adapter_of(recognizer.decoder).check_drawing('MinimumRisk')

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute the loss and log values."""
        drawn = source.draw_texts(self.num_texts)
        log_p = drawn.log_probabilities
        labels = [tuple(s.gt_text.indexes.tolist()) for s in source.samples]
        edits = edits_of(drawn.words, labels).reshape(-1, self.num_texts)
        risks = edits
        if self.normalized:
            lengths = [[float(max(len(label), 1))] for label in labels]
            risks = edits / torch.tensor(lengths).reshape(-1, 1)
        risks = on_device(risks, log_p.device).to(log_p.dtype)
        if self.estimate == 'sample':
            rows = sampled_risk(log_p, risks)
        else:
            distinct = torch.tensor([*map(first_of_each, drawn.words)], dtype=torch.bool)
            distinct = on_device(distinct.reshape(-1, self.num_texts), log_p.device)
            rows = n_best_risk(log_p, risks, distinct)
        out = dict(loss=self.weight * mean_over_ranks(rows))
        if labels:
            out['edits'] = edits.mean()
            out['informative'] = (edits != edits[:, :1]).any(1).float().mean()
        return self.named(out)


def edits_of(words: Sequence[Sequence[Word]], labels: Sequence[Word]) -> Tensor:
    """Compute the edit distances of texts to their label, ``(N, M)``.

    >>> edits_of([[(1, 2), (1,)]], [(1, 2)])
    tensor([[0., 1.]])
    """
    return torch.tensor(
        [[float(editdistance.eval(w, label)) for w in row] for row, label in zip(words, labels)]
    )


def first_of_each(words: Sequence[Word]) -> list[bool]:
    """Whether each text is not one of those before it.

    >>> first_of_each([(1,), (2,), (1,)])
    [True, True, False]
    """
    return [word not in words[:i] for i, word in enumerate(words)]


def sampled_risk(log_p: Tensor, risks: Tensor) -> Tensor:
    """Estimate the risk of each image by the mean over texts that were drawn from its distribution.

    The gradient is ``sum_i (W_i - mean W) grad log P_i / (N - 1)``. The paper divides by N. Then a
    text would be compared with a mean that contains it, and the gradient be short by 1 / N; divided
    by N - 1 it equals the mean over texts, each compared with the mean of the others, whose
    expectation is the gradient of the risk.

    Args:
        log_p: ``(M, N)``, log-probabilities of the drawn texts, with gradients.
        risks: ``(M, N)``, their risks W.

    Returns:
        ``(M,)``, the mean of the risks, with this gradient.

    >>> log_p = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    >>> sampled_risk(log_p, torch.tensor([[0.0, 1.0]])).sum().backward()
    >>> log_p.grad
    tensor([[-0.5000,  0.5000]])
    """
    mean = risks.mean(1, keepdim=True)
    weighted = ((risks - mean) * log_p).sum(1) / (log_p.size(1) - 1)
    return mean.squeeze(1) + weighted - weighted.detach()


def n_best_risk(log_p: Tensor, risks: Tensor, distinct: Tensor) -> Tensor:
    """Compute the expected risk over hypotheses, minus their mean risk.

    It is ``sum_i P_i (W_i - mean W) / sum_i P_i`` over the distinct texts.

    Args:
        log_p: ``(M, N)``, log-probabilities of the texts, with gradients.
        risks: ``(M, N)``, their risks W.
        distinct: ``(M, N)`` bool, which texts count, at least one in each row.

    Returns:
        ``(M,)``.
    """
    probabilities = log_p.masked_fill(~distinct, -torch.inf).softmax(1)
    count = distinct.sum(1, keepdim=True)
    mean = risks.masked_fill(~distinct, 0).sum(1, keepdim=True) / count
    return (probabilities * (risks - mean)).sum(1)
