"""Texts and frames of a CTC decoder: the best alignment, and the probability of a text."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmocr_da.device import on_device


@torch.no_grad()
def best_alignment(
    log_probs: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor, blank: int
) -> Tensor:
    """Find the class of each frame on the most probable path through a label.

    Viterbi search over the label with blanks around its characters (Graves et al., ICML 2006,
    section 4.1, with the maximum instead of the sum). No gradient, no host sync.

    Args:
        log_probs: ``(N, T, K)``, log-probabilities or logits.
        labels: ``(N, L)`` long, classes of the label; anything after ``lengths``.
        frames: ``(N,)`` long, number of frames of an image that are not padding, at most ``T``.
        lengths: ``(N,)`` long, number of characters of a label, at most ``L``.
        blank: The class between characters; no label contains it.

    Returns:
        ``(N, T)`` long: ``blank`` or a character; -1 on padding and on all frames of an image
        without a path, which has too few frames for the characters of its label and for the blanks
        between equal neighbours.

    >>> one_everywhere = torch.tensor([[[0., 1.]]]).expand(1, 3, 2)
    >>> label, frames, length = torch.tensor([[1, 1]]), torch.tensor([3]), torch.tensor([2])
    >>> best_alignment(one_everywhere, label, frames, length, blank=0)
    tensor([[1, 0, 1]])
    """
    (count, steps, _), device = log_probs.shape, log_probs.device
    images, times = torch.arange(count, device=device), torch.arange(steps, device=device)
    places = torch.arange(labels.size(1), device=device)
    # States are blank, l1, blank, l2, ..., blank, preceded by two columns that no path enters, so
    # that the first states have predecessors, too.
    label = labels.new_full((count, 2 * labels.size(1) + 3), blank)
    label[:, 3::2] = torch.where(places < lengths[:, None], labels, blank)
    # Only a blank between two different characters can be skipped.
    no_skip = label[:, 2:] == label[:, :-2]
    skip_penalty = torch.zeros(
        no_skip.shape, dtype=torch.promote_types(log_probs.dtype, torch.float32), device=device
    ).masked_fill(no_skip, -torch.inf)
    label = label[:, 2:]
    scores = log_probs.transpose(0, 1).gather(2, label.expand(steps, -1, -1)).to(skip_penalty.dtype)

    best = scores.new_full((steps + 1, count, label.size(1) + 2), -torch.inf)
    best[0, :, 2] = 0  # before the first frame all paths are in the first blank
    stay, step, skip = best[:-1, :, 2:], best[:-1, :, 1:-1], best[:-1, :, :-2]
    for t in range(steps):
        before = torch.maximum(torch.maximum(stay[t], step[t]), skip[t] + skip_penalty)
        torch.add(before, scores[t], out=best[t + 1, :, 2:])
    # Number of states that the path moves on by; of equal paths, the one that moved on first.
    back = (step > stay).to(torch.uint8)
    back = back.masked_fill_(skip + skip_penalty > torch.maximum(stay, step), 2)
    back *= (times[:, None] < frames)[..., None]

    # A path ends in the last blank or, if that is better, in the last character.
    last = 2 * lengths
    ends = best[frames, images].gather(1, torch.stack([last + 2, last + 1], 1))
    state = (last - (ends[:, 1] > ends[:, 0]).long())[:, None]
    states = torch.empty_like(log_probs[..., 0], dtype=torch.long)
    for t in reversed(range(steps)):
        states[:, t : t + 1] = state
        state = state - back[t].gather(1, state)
    shown = (times < frames[:, None]) & (ends.amax(1) > -torch.inf)[:, None]
    return label.gather(1, states).masked_fill_(~shown, -1)


@torch.no_grad()
def greedy_log_likelihood(
    probabilities: Tensor, frames: Tensor, blank: int
) -> tuple[Tensor, Tensor]:
    """Compute the log-probability of the text that greedy decoding predicts.

    It is the sum over all paths of frames that give this text (Graves et al., ICML 2006, eq. 3),
    of which the greedy path is one: characters may begin a frame earlier or later.

    Args:
        probabilities: ``(N, T, K)``.
        frames: ``(N,)`` long on the CPU, number of frames of an image that are not padding, at most
            ``T``.
        blank: The class between characters.

    Returns:
        ``(N,)``, and the numbers of characters ``(N,)`` long.

    >>> probabilities = torch.tensor([[[0.6, 0.4], [0.4, 0.6]]])  # blank, a
    >>> found, lengths = greedy_log_likelihood(probabilities, torch.tensor([2]), blank=0)
    >>> found.exp(), lengths  # the paths "-a", "a-" and "aa" all give "a"
    (tensor([0.7600]), tensor([1]))
    """
    classes = probabilities.argmax(-1)
    times = torch.arange(classes.size(1), device=classes.device)
    is_character = (times < on_device(frames, classes.device)[:, None]) & (classes != blank)
    is_character[:, 1:] &= classes[:, 1:] != classes[:, :-1]  # else the same character goes on
    lengths = is_character.sum(1)
    first = (~is_character).sort(dim=1, stable=True).indices
    log_probs = probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
    losses = F.ctc_loss(
        log_probs.transpose(0, 1),
        classes.gather(1, first),
        frames,
        lengths.cpu(),  # torch needs the lengths there, and waits for them
        blank,
        'none',
    )
    return -losses, lengths


def text_log_likelihood(
    logits: Tensor, words: Sequence[Sequence[int]], frames: Tensor, blank: int
) -> Tensor:
    """Compute the log-probability of texts, ``(N,)``, with gradients (Graves et al., 2006, eq. 3).

    Args:
        logits: ``(N, T, K)``.
        words: The classes of the characters of ``N`` texts that fit into the frames.
        frames: ``(N,)`` long on the CPU, number of frames of an image that are not padding, at most
            ``T``.
        blank: The class between characters.

    >>> logits = torch.tensor([[[0.6, 0.4], [0.4, 0.6]]]).log()  # blank, a
    >>> text_log_likelihood(logits, [[1]], torch.tensor([2]), blank=0).exp()
    tensor([0.7600])
    """
    log_p = logits.log_softmax(-1, torch.promote_types(logits.dtype, torch.float32))
    lengths = torch.tensor([len(word) for word in words])
    labels = torch.full((len(words), max([1, *lengths.tolist()])), blank)
    for row, word in zip(labels, words):
        row[: len(word)] = torch.tensor(word, dtype=torch.long)
    labels = on_device(labels, logits.device)
    return -F.ctc_loss(log_p.transpose(0, 1), labels, frames, lengths, blank, 'none')
