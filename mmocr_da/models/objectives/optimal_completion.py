"""Optimal completion distillation (Sabour, Chan & Norouzi, ICLR 2019)."""

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor, nn

from mmocr_da.arguments import check_choice, check_number
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..decoders.drawing import BestClasses, RandomDraws, special_classes, steps_until_end
from ..distributed import mean_over_ranks
from .domain_features import DomainFeatures
from .objective import Objective

#: Who chooses the text of a recognizer.
DRAWS: dict[str, type[RandomDraws]] = dict(sample=RandomDraws, greedy=BestClasses)


@MODELS.register_module()
class OptimalCompletion(Objective):
    """Teaches a recognizer to complete its own text with as few edits as possible.

    The recognizer decodes freely. After each of its own characters, right or wrong, it learns the
    characters that an optimal completion goes on with: those after which the edit distance of the
    whole text to the label can still be the least that it can be. There may be several. The loss is
    the mean over the steps of the KL divergence of the recognizer's prediction from them. It looks
    at the labelled images alone.

    It replaces the supervised loss: set ``supervised_weight=0``; or it is mixed with it. It works
    from random weights and for tuning. Works with decoders that are fed the characters before each
    character.

    The log shows ``edits``, the mean over the images of the edits in the recognizer's own text that
    no completion can undo.

    Args:
        weight: Weight of the loss.
        text: ``'sample'``, the text is drawn from the recognizer's distribution, as in the paper;
            ``'greedy'``, it is that of testing.
        temperature: tau. The classes have the probabilities ``softmax(Q / tau)`` with the optimal Q
            values, which are minus the least edit distance that is possible after a class. 0 stands
            for the limit, equal probabilities of the optimal classes.

    Raises:
        ValueError: If an option is out of range.
    """

    name = 'optimal_completion'
    needs_target = False

    def __init__(self, weight: float = 1.0, text: str = 'sample', temperature: float = 0.0) -> None:
        super().__init__()
        check_number('weight', weight, above=0)
        check_choice('text', text, DRAWS)
        check_number('temperature', temperature, least=0)
        self.weight = weight
        self.text = text
        self.temperature = temperature

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check that the decoder is fed its own prediction."""
        adapter_of(recognizer.decoder).check_feeding('OptimalCompletion')
        self.dictionary = recognizer.decoder.dictionary

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute the loss and log values."""
        logits, classes = source.draw_steps(DRAWS[self.text]())
        texts = [sample.gt_text.indexes.long().cpu() for sample in source.samples]
        end = self.dictionary.end_idx
        # The padding of a label is never compared with.
        padded = nn.utils.rnn.pad_sequence([*texts, torch.empty(0, dtype=torch.long)], True, end)
        lengths = torch.tensor([*map(len, texts)], dtype=torch.long)
        labels, lengths = (on_device(x, logits.device) for x in (padded[: len(texts)], lengths))
        skipped = sorted(special_classes(self.dictionary) - {end})
        distances = prefix_distances(classes, labels, lengths, skipped)
        values = optimal_values(distances, labels, lengths, logits.size(-1), end, skipped)
        counted = steps_until_end(classes, self.dictionary)
        log_p = logits.log_softmax(-1, torch.promote_types(logits.dtype, torch.float32))
        wanted = probabilities(values, self.temperature).to(log_p.dtype)
        rows = F.kl_div(log_p.masked_fill(wanted == 0, 0), wanted, reduction='none').sum(-1)
        counted = counted.flatten()
        loss = mean_over_ranks(rows.flatten().masked_fill(~counted, 0), counted)
        out = dict(loss=self.weight * loss)
        if texts:
            out['edits'] = edits_after(distances, counted.view_as(classes)).mean()
        return self.named(out)


def prefix_distances(
    classes: Tensor, labels: Tensor, lengths: Tensor, skipped: list[int]
) -> Tensor:
    """Compute the edit distances of all prefixes of texts and labels.

    Args:
        classes: ``(N, T)``, the predicted classes. What comes after an end token is of no use.
        labels: ``(N, J)``, the classes of the labels; anything after ``lengths``.
        lengths: ``(N,)``, number of characters of each label.
        skipped: Classes that are not part of a text.

    Returns:
        ``(N, T, J + 1)``: at ``[:, t, j]`` the distance of the first ``t`` classes and the first
        ``j`` characters; infinite beyond the end of a label.

    >>> distances = prefix_distances(*map(torch.tensor, ([[1, 3, 2]], [[1, 2]], [2])), [])
    >>> distances[0].int().tolist()
    [[0, 1, 2], [1, 0, 1], [2, 1, 1]]
    """
    places = torch.arange(labels.size(1) + 1, device=classes.device)
    row = places.expand(len(labels), -1).float()
    rows = []
    for own in classes.unbind(1):
        rows.append(row)
        substituted = row[:, :-1] + (own[:, None] != labels)
        # Without the insertions of label characters, which a running minimum adds.
        best = torch.cat([row[:, :1] + 1, torch.minimum(substituted, row[:, 1:] + 1)], 1)
        longer = (best - places).cummin(1).values + places
        is_part = torch.ones_like(own, dtype=torch.bool)
        for index in skipped:
            is_part &= own != index
        row = torch.where(is_part[:, None], longer, row)
    beyond = places > lengths[:, None]
    return torch.stack(rows, 1).masked_fill(beyond[:, None], torch.inf)


def optimal_values(
    distances: Tensor,
    labels: Tensor,
    lengths: Tensor,
    num_classes: int,
    end: int,
    skipped: list[int],
) -> Tensor:
    """Compute the optimal Q values of all classes, ``(N, T, K)``.

    The value of a class is minus the least edit distance to the label of any text that begins with
    the predicted prefix and this class; of the end token, of the prefix itself. It is minus the
    least distance of the prefix to any prefix of the label for the characters that follow these in
    the label, and one less for other characters.

    Args:
        distances: See :func:`prefix_distances`.
        labels, lengths, skipped: As there. The value of a skipped class is minus infinity.
        num_classes: K.
        end: Class of the end token.
    """
    least = distances.amin(-1, keepdim=True)
    follows = F.pad(labels, (0, 1), value=end)
    # Not one_hot, which makes the host wait.
    is_class = follows[..., None] == torch.arange(num_classes, device=labels.device)
    # Of the end of a label and beyond it, no character follows.
    inside = torch.arange(follows.size(1), device=labels.device) < lengths[:, None]
    is_class = (is_class & inside[..., None]).to(distances.dtype)
    optimal = (distances == least).to(distances.dtype) @ is_class > 0
    values = torch.where(optimal, -least, -least - 1)
    whole = distances.gather(2, lengths[:, None, None].expand(-1, distances.size(1), 1))
    values[..., end] = -whole.squeeze(2)
    for index in skipped:
        values[..., index] = -torch.inf
    return values


def probabilities(values: Tensor, temperature: float) -> Tensor:
    """Compute ``softmax(values / temperature)``, ``(..., K)``; of temperature 0, its limit.

    >>> probabilities(torch.tensor([0.0, -1.0, 0.0]), 0)
    tensor([0.5000, 0.0000, 0.5000])
    """
    if temperature > 0:
        return (values / temperature).softmax(-1)
    best = (values == values.amax(-1, keepdim=True)).to(values.dtype)
    return best / best.sum(-1, keepdim=True)


def edits_after(distances: Tensor, counted: Tensor) -> Tensor:
    """Return the edits of each text that no completion can undo, ``(N,)``.

    Args:
        distances: See :func:`prefix_distances`.
        counted: ``(N, T)`` bool, steps up to the end token.
    """
    last = counted.sum(1) - 1
    return distances.amin(-1).gather(1, last[:, None]).squeeze(1)
