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

from mmocr_da.arguments import (
    check_choice,
    check_config,
    check_count,
    check_list,
    check_text,
    warn_unused,
)
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS, TASK_UTILS

from ..decoders.drawing import special_classes, words_in
from .learned_surrogate import LearnedSurrogate
from .word_pairs import Word, WordPairGenerator

#: Iterations at the beginning of a training that are the surrogate's alone, by default.
WARMUP = 500


class CharCNN(nn.Module):
    """Embedding of texts: 1D convolutions and 2 fully connected layers (Zhang et al., 2015).

    The paper states five convolutions with LeakyReLU and 1024 outputs; kernel sizes, widths and
    slope are ours.

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
    """The edit distance between a prediction and a text.

    A text is ``L`` steps of ``K`` classes: one-hot rows for its characters and the end token, zeros
    after it. The rows of a prediction are its probabilities, up to its first end token. Both use
    the classes of the recognizer's dictionary, so letter case counts if the dictionary has both
    cases.

    Args:
        dictionary: Dictionary of the recognizer.
        max_length: L, the number of steps of its decoder.
        lexicon: File of words for the generator, one per line. By default the generator edits the
            labels of the batch.
        letter_case: Letter case for the lexicon, as in the recognizer's loss.
        max_distance: b, the largest distance of generated pairs. By default 10, or the length of
            the longest text if that is shorter.
        channels: Widths of the convolutions.
        hidden_channels: Width between the fully connected layers.
        out_channels: Dimension of the embedding.
        warmup: Number of iterations at the beginning that train the surrogate alone, on what the
            standing recognizer predicts. By default 500, or 0 with a ``checkpoint``: a surrogate
            that has learned nothing would pull the recognizer anywhere.
        kwargs: See :class:`LearnedSurrogate`.

    Raises:
        ValueError: If an option is out of range, or the lexicon has no word of the dictionary.
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
        warmup: int | None = None,
        **kwargs: Any,
    ) -> None:
        if warmup is None:
            warmup = WARMUP if kwargs.get('checkpoint') is None else 0
        super().__init__(warmup=warmup, **kwargs)
        check_count('max_length', max_length, least=2, why='the last step is that of the end token')
        check_text('lexicon', lexicon)
        check_choice('letter_case', letter_case, ('unchanged', 'lower', 'upper'))
        check_list('channels', channels, int, 'widths')
        check_count('max_distance', 1 if max_distance is None else max_distance)
        for name, values in (
            ('channels', channels),
            ('hidden_channels', [hidden_channels]),
            ('out_channels', [out_channels]),
        ):
            for value in values:
                check_count(name, value)
        if not isinstance(dictionary, Dictionary):
            if dictionary is None:
                raise ValueError('dictionary must be one of MMOCR, or its config, got None')
            check_config('dictionary', dictionary)
            dictionary = TASK_UTILS.build(dictionary)
        self.dictionary = dictionary
        self.num_classes, self.max_length = dictionary.num_classes, max_length
        no_characters = special_classes(dictionary) | {dictionary.unknown_idx}
        characters = [i for i in range(self.num_classes) if i not in no_characters]
        # The last step is reserved for the end token.
        if max_distance is None:
            max_distance = min(10, max_length - 1)
        if lexicon is not None and self.approximation == 'local':
            warn_unused('lexicon', lexicon, "approximation='local' generates no pairs")
        self.generator = WordPairGenerator(characters, max_length - 1, max_distance)
        self.words = None if lexicon is None else self._words_of(lexicon, letter_case)
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

    def _words_of(self, lexicon: str, letter_case: str) -> list[Word]:
        words, skipped = [], 0
        for line in get_text(lexicon).splitlines():
            text = line.strip()
            text = text if letter_case == 'unchanged' else getattr(text, letter_case)()
            indexes = [self.dictionary.char2idx(c, strict=False) for c in text]
            if (
                text
                and len(text) < self.max_length
                and set(indexes) <= set(self.generator.characters)
            ):
                words.append(tuple(indexes))
            else:
                skipped += bool(text)
        if not words:
            raise ValueError(
                f'lexicon must have words of the dictionary, of fewer than '
                f'{self.max_length} characters, one per line; got none in {lexicon}, '
                f'{skipped} were skipped'
            )
        if skipped:
            print_log(
                f'{skipped} of {skipped + len(words)} words in {lexicon} are skipped: too long, '
                'or with characters that the dictionary does not have',
                logger='current',
                level=logging.WARNING,
            )
        return words

    def encode(self, texts: Sequence[Sequence[int] | Tensor]) -> Tensor:
        """Encode class indexes as one-hot steps, ``(N, L, K)``; longer texts are cut off."""
        out = torch.zeros(len(texts), self.max_length, self.num_classes)
        for row, text in enumerate(texts):
            steps = [*map(int, text), self.dictionary.end_idx][: self.max_length]
            out[row, range(len(steps)), steps] = 1
        return out

    def encode_prediction(self, probabilities: Tensor) -> Tensor:
        """Encode probabilities, ``(N, T, K) -> (N, L, K)``: 0 after the first end token."""
        is_end = probabilities.argmax(-1) == self.dictionary.end_idx
        until_end = is_end.cumsum(1) - is_end.long() == 0
        z = probabilities * until_end[..., None]
        return F.pad(z, (0, 0, 0, self.max_length - z.size(1)))

    def decode(self, steps: Tensor) -> list[Word]:
        """Decode steps ``(N, L, K)`` to class indexes of each text, without special tokens."""
        best = steps.argmax(-1).masked_fill(~steps.any(-1), self.dictionary.end_idx)
        return words_in(best, self.dictionary)

    def metric(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute the Levenshtein distance of the texts in ``z`` and ``y``, ``(N,)``."""
        pairs = zip(self.decode(z), self.decode(y))
        return on_device(torch.tensor([float(editdistance.eval(*p)) for p in pairs]), z.device)

    def generate(self, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        words = self.words or self.decode(y)
        pairs = self.generator(words, len(y), rng)
        z, y_r, e = zip(*pairs) if pairs else ((), (), ())
        return self.encode(z).to(y), self.encode(y_r).to(y), torch.tensor(e).to(y)
