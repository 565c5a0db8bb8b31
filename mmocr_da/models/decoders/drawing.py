"""Texts that are drawn from the distribution of a recognizer: random classes, and their words."""

from collections.abc import Sequence

import torch
from mmocr.models.common.dictionary import Dictionary
from torch import Tensor

from mmocr_da.device import on_device
from mmocr_da.rng import seed_of_iteration

#: The classes of the characters of a text.
Word = tuple[int, ...]


class RandomDraws:
    """Draws random classes and events; on every device the same ones.

    In a running training they depend on the seed of the run, the iteration and the rank alone, so
    a resumed run has the draws of an uninterrupted one.
    """

    def __init__(self) -> None:
        seed = seed_of_iteration()
        # Without a runner these are PyTorch's own random numbers, which torch.manual_seed seeds.
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)

    def classes(self, logits: Tensor) -> Tensor:
        """Draw a class from each softmax of logits, ``(..., K) -> (...)``.

        It is the largest of the logits after Gumbel noise (Gumbel, 1954), so that the host need not
        wait.
        """
        scores = logits.detach()
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        noise = torch.empty(scores.shape).exponential_(generator=self._generator).log()
        return (scores - on_device(noise, scores.device)).argmax(-1)

    def events(self, shape: Sequence[int], probability: float, device: torch.device) -> Tensor:
        """Draw independent events that happen with a probability, ``shape`` bool."""
        happens = torch.rand(tuple(shape), generator=self._generator) < probability
        return on_device(happens, device)


class BestClasses(RandomDraws):
    """Takes the class of the largest logit instead of drawing one."""

    def classes(self, logits: Tensor) -> Tensor:
        return logits.detach().argmax(-1)


def special_classes(dictionary: Dictionary) -> set[int]:
    """Return the classes that are no character: start token, end token, padding."""
    found = {dictionary.start_idx, dictionary.end_idx, dictionary.padding_idx}
    return {index for index in found if index is not None}


def words_in(classes: Tensor, dictionary: Dictionary) -> list[Word]:
    """Return the characters of each row up to its first end token, ``(N, T)``."""
    special, words = special_classes(dictionary), []
    for row in classes.tolist():
        end = row.index(dictionary.end_idx) if dictionary.end_idx in row else len(row)
        words.append(tuple(i for i in row[:end] if i not in special))
    return words


def steps_until_end(classes: Tensor, dictionary: Dictionary) -> Tensor:
    """Mark the steps up to the first end token, which is one of them, ``(N, T)`` bool."""
    if dictionary.end_idx is None:
        return torch.ones_like(classes, dtype=torch.bool)
    is_end = classes == dictionary.end_idx
    return is_end.cumsum(1) - is_end.long() == 0
