"""The outputs of decoders that objectives use, the same for every decoder."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass
class CharacterFeatures:
    """The outputs of a decoder at each step of ``N`` images.

    A step is a character of an attention decoder, or a frame of a CTC decoder.

    Attributes:
        features: ``(N, T, D)``, the vectors that local alignment compares.
        logits: ``(N, T, K)``.
        is_character: ``(N, T)`` bool, steps before the end token that are neither start token,
            padding nor blank, according to the label or, for images without one, the prediction.
        supervised: ``(N, T)`` bool, all steps with a class in the label: characters, the end token,
            and blank frames.
        labels: ``(N, T)``, the class of each supervised step of labelled images.
        hidden: ``(N, T, H)``, the input of the final classifier, which returned the logits.
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
        """Select images by their indexes."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            values[name] = value[index] if isinstance(value, Tensor) else value
        return CharacterFeatures(**values)

    def confident(self, threshold: float) -> Tensor:
        """Steps predicted with a probability above ``threshold``, ``(N, T)`` bool."""
        return torch.softmax(self.logits.detach().float(), -1).amax(-1) > threshold


class DecodedSteps(NamedTuple):
    """The outputs of a decoder without its classifier inputs; see :class:`CharacterFeatures`.

    ``contexts (N, T, D)`` are attention-weighted sums; None for a decoder without attention.
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
        """Return the class probabilities, ``(N, T, K)``, in float32 at least."""
        return self.logits.softmax(-1, torch.promote_types(self.logits.dtype, torch.float32))
