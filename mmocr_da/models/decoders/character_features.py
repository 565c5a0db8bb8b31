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
        output: The output of the decoder in training, if it is not the logits: a tensor
            ``(N, T, K)``, or dictionaries and lists of tensors whose first dimension is ``N``.
    """

    features: Tensor
    logits: Tensor
    is_character: Tensor
    supervised: Tensor
    labels: Tensor
    hidden: Tensor
    classifier: nn.Module
    blank: int | None = None
    output: Any = None

    @property
    def training_output(self) -> Any:
        """What the decoder's loss is computed from."""
        return self.logits if self.output is None else self.output

    @property
    def comparable(self) -> Tensor:
        """Steps at which domains can be compared: characters and end tokens, ``(N, T)`` bool.

        Blank frames are not: their number depends on the width of the image.
        """
        return self.supervised if self.blank is None else self.is_character

    def of_images(self, index: Tensor) -> 'CharacterFeatures':
        """Select images by their indexes."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return CharacterFeatures(**{name: rows_in(value, index) for name, value in values.items()})

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
    output: Any = None


class AttendedSteps(NamedTuple):
    """Where a decoder looks at each step of a greedy prediction.

    Attributes:
        classes: ``(N, T)``, the predicted classes.
        is_character: ``(N, T)`` bool, steps that are characters of the text, in their order.
        weights: ``(N, T, L)``, from 0 to 1, of the L positions of the feature map or of the
            encoder's sequence; for CTC those of the frames.
    """

    classes: Tensor
    is_character: Tensor
    weights: Tensor


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


@dataclass
class DrawnTexts:
    """Texts that were drawn from the distribution of a recognizer, ``M`` for each of ``N`` images.

    Attributes:
        words: ``N`` lists of ``M`` texts, each the classes of its characters.
        log_probabilities: ``(N, M)``, of these texts, with gradients. A text of a decoder with a
            step per character is all that it predicts up to the first end token. For CTC it is what
            remains of the frames, and its probability the sum over all their alignments.
    """

    words: list[list[tuple[int, ...]]]
    log_probabilities: Tensor


def rows_in(value: Any, index: Tensor) -> Any:
    """Select rows of all tensors in nested dictionaries and lists; other values stay as they are.

    >>> rows_in(dict(a=[torch.tensor([5, 6])], b=None), torch.tensor([1]))
    {'a': [tensor([6])], 'b': None}
    """
    if isinstance(value, dict):
        return {name: rows_in(x, index) for name, x in value.items()}
    if isinstance(value, list):
        return [rows_in(x, index) for x in value]
    return value[index] if isinstance(value, Tensor) else value


def tensors_in(value: Any) -> list[Tensor]:
    """List all tensors in nested dictionaries and lists.

    >>> tensors_in(dict(a=[torch.tensor(5)], b=torch.tensor(6)))
    [tensor(5), tensor(6)]
    """
    if isinstance(value, dict | list):
        values = value.values() if isinstance(value, dict) else value
        return [tensor for x in values for tensor in tensors_in(x)]
    return [value] if isinstance(value, Tensor) else []
