"""The features of one domain that an objective gets."""

from collections.abc import Callable, Sequence
from typing import Protocol

from mmocr.structures import TextRecogDataSample
from torch import Tensor

from ..decoders.character_features import CharacterFeatures, DrawnTexts, GreedyPrediction
from ..decoders.drawing import RandomDraws
from ..valid_ratio import valid_steps


class OwnDecoding(Protocol):
    """Decodes the images of a domain with drawn classes, see :class:`DomainFeatures`."""

    def texts(self, count: int) -> DrawnTexts: ...

    def steps(self, draws: RandomDraws) -> tuple[Tensor, Tensor]: ...

    def mixed_loss(self, label_probability: float, draws: RandomDraws) -> dict[str, Tensor]: ...


class DomainFeatures:
    """Features of the ``N`` images of one domain; ``N`` may be 0.

    Args:
        feature_map: ``(N, C, H, W)``, from the backbone or, without a backbone, from the encoder;
            None if the encoder returns no map.
        sequence: The output of the encoder, usually ``(N, L, D)``; None without an encoder.
        valid_ratio: ``(N,)``, the share of columns that is not padding.
        characters: Features of single characters, if an objective needs them.
        prediction: Greedy prediction of the source, if an objective needs it.
        images: ``(N, C, H, W)``, preprocessed.
        samples: The data samples of the images.
        decoder_loss: See :meth:`labelled_loss`.
        decode: See :meth:`predict_texts`.
        confidences: See :meth:`word_confidences`.
        draws: See :meth:`draw_texts`, :meth:`draw_steps` and :meth:`mixed_loss`.
        as_map: Converts a sequence to a map, see :attr:`encoder_map`.
    """

    def __init__(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        valid_ratio: Tensor,
        characters: CharacterFeatures | None = None,
        prediction: GreedyPrediction | None = None,
        images: Tensor | None = None,
        samples: Sequence[TextRecogDataSample] = (),
        decoder_loss: Callable[..., dict[str, Tensor]] | None = None,
        decode: Callable[[], list[str]] | None = None,
        confidences: Callable[..., Tensor] | None = None,
        as_map: Callable[[Tensor], Tensor | None] | None = None,
        draws: OwnDecoding | None = None,
    ) -> None:
        self.feature_map = feature_map
        self._as_map = as_map
        self.sequence = sequence
        self.valid_ratio = valid_ratio
        self._characters = characters
        self._prediction = prediction
        self.images = images
        self.samples = samples
        self._decoder_loss = decoder_loss
        self._decode = decode
        self._confidences = confidences
        self._draws = draws

    @property
    def encoder_map(self) -> Tensor | None:
        """The output of the encoder as a map ``(N, F, H', W')``.

        A sequence with a step per column or position is put into rows and columns; a vector for
        each image becomes a map of one position. None if the output is something else.
        """
        if self._as_map is None or self.sequence is None:
            return None
        if self.sequence.dim() == 2:
            return self.sequence[:, :, None, None]
        return self._as_map(self.sequence)

    @property
    def characters(self) -> CharacterFeatures:
        """Features of single characters, for objectives with ``needs_characters``.

        Raises:
            ValueError: If no objective needs them.
        """
        if self._characters is None:
            raise ValueError('characters are there for objectives with needs_characters = True')
        return self._characters

    @property
    def prediction(self) -> GreedyPrediction:
        """Greedy prediction of the source, for objectives with ``needs_prediction``.

        Raises:
            ValueError: If no objective needs it, or for the target.
        """
        if self._prediction is None:
            raise ValueError(
                'a greedy prediction is there for objectives with needs_prediction = True, and for '
                'the source alone'
            )
        return self._prediction

    def labelled_loss(
        self,
        rows: Sequence[int],
        samples: list[TextRecogDataSample],
        learned: Sequence[Sequence[bool]] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the decoder's own losses of some images with texts that an objective gives them.

        They are means over all ranks, so all ranks must call this; without an image they are 0, and
        still connected to the features.

        Args:
            rows: Which of the images.
            samples: One per row, with the text as ``gt_text``.
            learned: Whether each character of each text is learned; None for all. A decoder that
                is fed its labels is fed the others, too. The end of a text is always learned.
        """
        assert self._decoder_loss is not None
        return self._decoder_loss(rows, samples, learned)

    def predict_texts(self) -> list[str]:
        """Decode the features as in testing, without a gradient and without a trace."""
        assert self._decode is not None
        return self._decode()

    def draw_texts(self, count: int) -> DrawnTexts:
        """Draw texts from the distribution of the recognizer, ``count`` for each image.

        For objectives that have called :meth:`DecoderAdapter.check_drawing` when they were
        attached. Without an image the probabilities are still connected to the features.
        """
        assert self._draws is not None
        return self._draws.texts(count)

    def draw_steps(self, draws: RandomDraws) -> tuple[Tensor, Tensor]:
        """Decode with drawn classes, as :meth:`DecoderAdapter.draw_steps`, each image once.

        For objectives that have called :meth:`DecoderAdapter.check_feeding`.
        """
        assert self._draws is not None
        return self._draws.steps(draws)

    def mixed_loss(self, label_probability: float, draws: RandomDraws) -> dict[str, Tensor]:
        """Compute the decoder's own losses when it is fed its own classes instead of some labels.

        For the source, and objectives that have called :meth:`DecoderAdapter.check_feeding`. As in
        :meth:`labelled_loss`, all ranks must call it. The arguments are those of
        :meth:`DecoderAdapter.mixed_output`.
        """
        assert self._draws is not None
        return self._draws.mixed_loss(label_probability, draws)

    def word_confidences(self, length_normalized: bool = False) -> Tensor:
        """Return how confident the recognizer was when it was trained on the source, ``(N,)``.

        The confidence is that of :meth:`DecoderAdapter.word_confidences`, in the pass of the
        supervised loss: a decoder with a step per character was fed the labels. It has no gradient.
        Without a source image or a supervised loss, and for the target, there are none: ``(0,)``.
        """
        if self._confidences is None:
            return self.valid_ratio.new_zeros(0)
        return self._confidences(length_normalized=length_normalized)

    def valid_columns(self, feature_map: Tensor | None = None) -> Tensor:
        """Mark columns of a feature map that are not padding, ``(N, W)`` bool, at least one each.

        Args:
            feature_map: ``(N, C, H, W)``; None for ``feature_map`` of the domain.

        >>> import torch
        >>> domain = DomainFeatures(torch.zeros(2, 8, 1, 4), None, torch.tensor([0.6, 1.0]))
        >>> domain.valid_columns()
        tensor([[ True,  True,  True, False],
                [ True,  True,  True,  True]])
        """
        feature_map = self.feature_map if feature_map is None else feature_map
        assert feature_map is not None
        return valid_steps(self.valid_ratio, feature_map.size(-1))
