"""What every method for sequences needs of a decoder, whatever decoder it is."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass
class CharacterFeatures:
    """What a decoder computes at each step of ``N`` images.

    A step is a character of an attention decoder, or a frame of a CTC decoder.

    Attributes:
        features: ``(N, T, D)``, what local alignment compares.
        logits: ``(N, T, K)``.
        is_character: ``(N, T)`` bool, steps before the end token that are neither start token,
            padding nor blank. By the label for labelled images, else by the prediction.
        supervised: ``(N, T)`` bool, all steps that a label says something about: characters, the
            end token, and blank frames.
        labels: ``(N, T)``, the class of each supervised step of labelled images.
        hidden: ``(N, T, H)``, the input of the final classifier, whose output the logits are.
        classifier: The final classifier.
        blank: The class of blank frames; None for a decoder without blanks.
    """

    features: Tensor
    logits: Tensor
    is_character: Tensor
    supervised: Tensor
    labels: Tensor
    hidden: Tensor
    classifier: nn.Module
    blank: int | None = None

    @property
    def comparable(self) -> Tensor:
        """Steps at which domains can be compared: characters and end tokens, ``(N, T)`` bool.

        Blank frames are not: their number depends on the width of the image.
        """
        return self.supervised if self.blank is None else self.is_character

    def of_images(self, index: Tensor) -> 'CharacterFeatures':
        """The features of some images."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            values[name] = value[index] if isinstance(value, Tensor) else value
        return CharacterFeatures(**values)

    def confident(self, threshold: float) -> Tensor:
        """Steps predicted with a probability above ``threshold``, ``(N, T)`` bool."""
        return torch.softmax(self.logits.detach().float(), -1).amax(-1) > threshold


class DecodedSteps(NamedTuple):
    """What a decoder says of the steps of ``N`` images; see :class:`CharacterFeatures`.

    ``contexts (N, T, D)`` are attention-weighted sums, None where there is no attention.
    """

    contexts: Tensor | None
    logits: Tensor
    is_character: Tensor
    supervised: Tensor
    labels: Tensor
    blank: int | None = None


@dataclass
class GreedyPrediction:
    """The greedy prediction of ``N`` labelled images, and their labels.

    Attributes:
        logits: ``(N, T, K)``, step by step, also after the end of the text.
        labels: ``N`` tensors of class indexes, without start and end token.
    """

    logits: Tensor
    labels: list[Tensor]

    @property
    def probabilities(self) -> Tensor:
        """``(N, T, K)``, in float32 at least."""
        return self.logits.softmax(-1, torch.promote_types(self.logits.dtype, torch.float32))
