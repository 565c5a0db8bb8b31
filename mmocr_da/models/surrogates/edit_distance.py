"""LS-ED: the edit distance of texts as a loss (Patel et al., ECCV 2020, section 4.2)."""

import logging
from collections.abc import Sequence
from typing import Any

import editdistance
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.fileio import get_text
from mmengine.logging import print_log
from mmocr.models.common.dictionary import Dictionary
from torch import Tensor, nn

from mmocr_da.arguments import check_count, warn_unused
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS, TASK_UTILS

from .learned_surrogate import LearnedSurrogate
from .word_pairs import Word, WordPairGenerator


class CharCNN(nn.Module):
    """Embedding of texts: 1D convolutions and 2 fully connected layers (Zhang et al., 2015).

    The paper fixes five convolutions with LeakyReLU and 1024 numbers out; kernels, widths and slope
    are ours.

    Shape: ``(N, L, K) -> (N, out_channels)``, ``L`` steps of ``K`` classes.
    """

    def __init__(
        self,
        num_classes: int,
        max_length: int,
        channels: Sequence[int],
        hidden_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        negative_slope: float = 0.1,
    ) -> None:
        super().__init__()
        layers = []
        for c_in, c_out in zip((num_classes, *channels), channels):
            layers += [
                nn.Conv1d(c_in, c_out, kernel_size, padding=kernel_size // 2),
                nn.LeakyReLU(negative_slope),
            ]
        self.convs = nn.Sequential(*layers)
        self.fcs = nn.Sequential(
            nn.Linear(channels[-1] * max_length, hidden_channels),
            nn.LeakyReLU(negative_slope),
            nn.Linear(hidden_channels, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fcs(self.convs(x.transpose(1, 2)).flatten(1))


@MODELS.register_module()
class EditDistanceSurrogate(LearnedSurrogate):
    """The edit distance between a reading and a text.

    A text is ``L`` steps of ``K`` classes: one-hot rows for its letters and the end token, zeros
    behind it. Of a reading, the rows are its probabilities, up to its first end token. Both are in
    the classes of the recognizer's dictionary, so letter case counts if it does there.

    Args:
        dictionary: Of the recognizer.
        max_length: L, steps of its decoder.
        lexicon: File of words for the generator, one per line. By default it distorts the labels
            of the batch at hand, all of the training labels in turn.
        letter_case: Of the lexicon, as in the recognizer's loss.
        max_distance: b, the largest distance of generated pairs. By default 10, or the longest text
            if that is shorter.
        channels: Widths of the convolutions.
        hidden_channels: Width between the fully connected layers.
        out_channels: Dimension of the embedding.
        kwargs: See :class:`LearnedSurrogate`.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        max_length: int,
        lexicon: str | None = None,
        letter_case: str = 'unchanged',
        max_distance: int | None = None,
        channels: Sequence[int] = (256,) * 5,
        hidden_channels: int = 1024,
        out_channels: int = 1024,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        check_count('max_distance', 1 if max_distance is None else max_distance)
        for name, values in (
            ('channels', channels),
            ('hidden_channels', [hidden_channels]),
            ('out_channels', [out_channels]),
        ):
            for value in values:
                check_count(name, value)
        if not isinstance(dictionary, Dictionary):
            dictionary = TASK_UTILS.build(dictionary)
        self.dictionary = dictionary
        self.num_classes, self.max_length = dictionary.num_classes, max_length
        self._no_letters = {dictionary.start_idx, dictionary.end_idx, dictionary.padding_idx}
        unknown = {dictionary.unknown_idx}
        letters = [i for i in range(self.num_classes) if i not in self._no_letters | unknown]
        # The last step is the end token's.
        if max_distance is None:
            max_distance = min(10, max_length - 1)
        if lexicon is not None and self.source == 'local':
            warn_unused('lexicon', lexicon, "source='local' generates no pairs")
        self.generator = WordPairGenerator(letters, max_length - 1, max_distance)
        self.words = None if lexicon is None else self._read(lexicon, letter_case)
        self.architecture: dict[str, Any] = dict(
            channels=list(channels), hidden_channels=hidden_channels, out_channels=out_channels
        )
        self.embedding = CharCNN(self.num_classes, max_length, **self.architecture)

    @property
    def spec(self) -> dict[str, Any]:
        return dict(
            super().spec,
            classes=list(self.dictionary.dict),
            max_length=self.max_length,
            **self.architecture,
        )

    def _read(self, lexicon: str, letter_case: str) -> list[Word]:
        words, passed_over = [], 0
        for line in get_text(lexicon).splitlines():
            text = line.strip()
            text = text if letter_case == 'unchanged' else getattr(text, letter_case)()
            indexes = [self.dictionary.char2idx(c, strict=False) for c in text]
            if text and len(text) < self.max_length and set(indexes) <= set(self.generator.letters):
                words.append(tuple(indexes))
            else:
                passed_over += bool(text)
        if not words:
            raise ValueError(
                f'lexicon must have words of the dictionary, of fewer than '
                f'{self.max_length} letters, one per line; got none in {lexicon}, '
                f'{passed_over} were passed over'
            )
        if passed_over:
            print_log(
                f'{passed_over} of {passed_over + len(words)} words in {lexicon} are passed '
                'over: too long, or of other characters than the dictionary has',
                logger='current',
                level=logging.WARNING,
            )
        return words

    def encode(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """One-hot steps of class indexes, ``(N, L, K)``; what is longer than ``L`` is cut off."""
        out = torch.zeros(len(texts), self.max_length, self.num_classes)
        for row, text in enumerate(texts):
            steps = [*map(int, text), self.dictionary.end_idx][: self.max_length]
            out[row, range(len(steps)), steps] = 1
        return out

    def encode_reading(self, probabilities: Tensor) -> Tensor:
        """``(N, T, K) -> (N, L, K)``: zeros behind the first end token, with the gradient of z."""
        is_end = probabilities.argmax(-1) == self.dictionary.end_idx
        shown = is_end.cumsum(1) - is_end.long() == 0
        z = probabilities * shown[..., None]
        return F.pad(z, (0, 0, 0, self.max_length - z.size(1)))

    def decode(self, steps: Tensor) -> list[Word]:
        """What is read there, ``(N, L, K) ->`` class indexes; special tokens are no letters."""
        best = steps.argmax(-1).masked_fill(~steps.any(-1), self.dictionary.end_idx)
        words = []
        for row in best.tolist():
            row.append(self.dictionary.end_idx)
            text = row[: row.index(self.dictionary.end_idx)]
            words.append(tuple(i for i in text if i not in self._no_letters))
        return words

    def metric(self, z: Tensor, y: Tensor) -> Tensor:
        """Levenshtein distance of what is read in ``z`` and in ``y``, ``(N,)``."""
        pairs = zip(self.decode(z), self.decode(y))
        return on_device(torch.tensor([float(editdistance.eval(*p)) for p in pairs]), z.device)

    def generate(self, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        words = self.words or self.decode(y)
        pairs = self.generator(words, len(y), rng)
        z, y_r, e = zip(*pairs) if pairs else ((), (), ())
        return self.encode(z).to(y), self.encode(y_r).to(y), torch.tensor(e).to(y)
