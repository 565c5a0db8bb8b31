"""The interface between objectives and decoders, and the registry of its implementations."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.models.textrecog.module_losses import CEModuleLoss, CTCModuleLoss
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.compat import no_grad
from mmocr_da.device import on_device

from ...domain_split import rows_of
from ...freezing import evaluating
from ...valid_ratio import num_valid
from ..character_features import AttendedSteps, CharacterFeatures, DecodedSteps, DrawnTexts
from ..ctc_alignment import greedy_log_likelihood
from ..drawing import RandomDraws, steps_until_end, words_in
from .recording import recorded
from .tokens import cross_entropy_of, samples_of

#: Choices for the vector of a step that is the feature of its character.
CHARACTER_FEATURES = ('context', 'hidden')

_ADAPTERS: dict[type[BaseDecoder], type['DecoderAdapter']] = {}


def register_adapter(*decoders: type[BaseDecoder]) -> Callable[[type], type]:
    """Register an adapter for decoder classes and their subclasses, as a decorator."""

    def register(adapter: type) -> type:
        _ADAPTERS.update(dict.fromkeys(decoders, adapter))
        return adapter

    return register


def adapter_of(decoder: BaseDecoder) -> 'DecoderAdapter':
    """Return the adapter of a decoder; without a registered one, it only decodes greedily."""
    return _ADAPTERS.get(known_class(type(decoder)), DecoderAdapter)(decoder)


def known_class(decoder: type[BaseDecoder]) -> type[BaseDecoder]:
    """Return the nearest class of a decoder that has an adapter; without one, its own."""
    return next((c for c in decoder.__mro__ if c in _ADAPTERS), decoder)


def overrides(decoder: type[BaseDecoder], known: type[BaseDecoder]) -> bool:
    """Whether a class changes methods that another one defines, other than its constructor.

    A class that is no subclass changes all of them.
    """
    methods = [name for name, value in vars(known).items() if callable(value)]
    return any(
        getattr(decoder, name, None) is not getattr(known, name)
        for name in methods
        if name != '__init__'
    )


def character_decoders() -> list[str]:
    """List the decoder classes with characters that objectives can use."""
    return [c.__name__ for c, adapter in _ADAPTERS.items() if adapter.has_characters]


class DecoderAdapter:
    """Access to a decoder for objectives; the base class works for any decoder of MMOCR.

    A subclass for a decoder with characters that can be aligned sets :attr:`has_characters` and
    :attr:`classifier_name`, and defines :meth:`loss_fits` and :meth:`decode_steps`. It has no state
    beside the decoder, so it is created for each use.

    Args:
        decoder: A decoder of a class that the adapter is registered for.
    """

    #: Whether :meth:`decode` works for the class of the decoder.
    has_characters = False
    #: Whether :meth:`decode` may return fewer steps than ``decoder.max_seq_len``.
    stops_early = False
    #: Whether the supervised loss alone comes from :meth:`decode`, too: the own pass of the decoder
    #: loops over the steps and does not end with the longest label.
    trains_by_steps = False
    #: Name of the final classifier in the decoder, a linear layer or a convolution of size 1.
    classifier_name = ''

    def __init__(self, decoder: BaseDecoder) -> None:
        self.decoder = decoder

    @property
    def name(self) -> str:
        """Name of the decoder's class, for messages."""
        return type(self.decoder).__name__

    @property
    def known(self) -> type[BaseDecoder]:
        """The class that the adapter is registered for: the decoder's, or a parent of it."""
        return known_class(type(self.decoder))

    def is_known(self) -> bool:
        """Whether the decoder computes what the class of :attr:`known` computes."""
        return not overrides(type(self.decoder), self.known)

    # Single characters.

    @property
    def classifier_path(self) -> str:
        """Dotted name of the final classifier in the decoder.

        Raises:
            ValueError: If the adapter does not know it.
        """
        if not self.classifier_name:
            raise ValueError(f'{type(self).__name__} knows no final classifier of {self.name}')
        return self.classifier_name

    @property
    def classifier(self) -> nn.Module:
        """The final classifier."""
        return self.decoder.get_submodule(self.classifier_path)

    def loss_fits(self) -> bool:
        """Whether the decoder's loss says which step is which character."""
        return False

    def can_decode(self) -> bool:
        """Whether :meth:`decode` works for this very decoder."""
        return self.has_characters and not self.obstacle()

    def obstacle(self) -> str:
        """Say why the characters of this very decoder cannot be aligned; empty if they can."""
        if self.has_characters and self.loss_fits():
            return ''
        return (
            f'objectives of single characters work with {", ".join(character_decoders())}; their '
            'module_loss must be a CEModuleLoss with ignore_first_char=True for attention, an '
            'ABIModuleLoss for ABINet and a CTCModuleLoss for CTC'
        )

    def check_characters(self) -> None:
        """Raise a ValueError if the characters of the decoder cannot be aligned."""
        if not self.can_decode():
            raise ValueError(
                f'characters of {self.name} cannot be aligned: {self.obstacle()}; GlobalAlignment '
                'works with all decoders'
            )

    def feature_channels(self, character_feature: str) -> int:
        """Return D, the width of the features that :meth:`decode` returns."""
        weight: Tensor = getattr(self.classifier, 'weight')
        return weight.size(1)

    def decode(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
        character_feature: str = 'context',
    ) -> CharacterFeatures:
        """Decode labelled images by their labels and the others greedily, in one pass.

        An attention decoder is teacher-forced by the labels, and fed its own predictions for the
        other images. It ends when every label and every prediction has ended. In a recurrent
        decoder both kinds of rows share every step, so that ``B + B`` images cost what ``2B``
        labelled ones do; a transformer first finds the predictions without gradient, and then all
        rows pass it in parallel. A decoder of ABINet needs no labels. For a CTC decoder, the
        characters of a labelled image are the frames of the best alignment, and the characters of
        an unlabelled one the frames that it does not predict as blank.

        Args:
            feature_map: ``(N, C, H, W)``.
            sequence: The output of the encoder; None without an encoder.
            samples: One per image, the labelled ones after ``module_loss.get_targets``.
            labelled: Whether each image has a label.
            valid_ratio: ``(N,)`` on the CPU, see :mod:`mmocr_da.models.valid_ratio`.
            character_feature: ``'context'``, the attention-weighted sum ``c_k`` (ASSDA, eq. 2), or
                ``'hidden'``, the input of the final classifier. They are the same for
                decoders without attention.
        """
        with recorded(self.classifier, lambda x, _: x[0]) as inputs:
            steps = self.decode_steps(feature_map, sequence, samples, labelled, valid_ratio)
        hidden = as_steps(inputs, steps.logits)
        contexts = hidden if steps.contexts is None else steps.contexts
        return CharacterFeatures(
            hidden if character_feature == 'hidden' else contexts,
            steps.logits,
            steps.is_character,
            steps.supervised,
            steps.labels,
            hidden,
            self.classifier,
            steps.blank,
            steps.output,
        )

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        """Decode, as :meth:`decode` describes, and classify the steps; subclasses define it."""
        raise NotImplementedError

    # Greedy decoding.

    def check_greedy(self, purpose: str) -> None:
        """Raise a ValueError if a greedy prediction is not one step per character.

        Args:
            purpose: Name of the user of the prediction, for the message.
        """
        if isinstance(self.decoder.module_loss, CTCModuleLoss):
            raise ValueError(
                f'{purpose} needs one step per character, got {self.name} with CTCModuleLoss: its '
                'frames are not characters, and a change of one frame is no edit; use a recognizer '
                'with attention or parallel decoding (ASTER, SAR, NRTR, SATRN, MASTER, '
                'RobustScanner, ABINet), or MinimumRisk, which tunes CTC on the edit distance'
            )
        if self.decoder.dictionary.end_idx is None:
            raise ValueError(
                f'{purpose} needs an end token to know where a text ends, got {self.name} with '
                'a dictionary without one; set with_end=True in the dictionary'
            )

    def predict(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> Tensor:
        """Decode greedily as in testing, and return the logits ``(N, T, K)`` with gradients.

        A greedy search cannot always be differentiated. So its prediction, which is that of
        testing, becomes the label of a second, parallel pass, which has the same logits but for
        dropout. If gradients are disabled, the first pass is enough.
        """
        probabilities = self.probabilities(feature_map, sequence, samples)
        if not torch.is_grad_enabled():
            return probabilities.log()
        return self.logits_of(feature_map, sequence, samples, probabilities.argmax(-1))

    def logits_of(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        classes: Tensor,
    ) -> Tensor:
        """Return the logits ``(N, T, K)`` of a parallel pass that is fed classes ``(N, T)``.

        Step ``k`` is fed class ``k - 1``, and the first step the start token.
        """
        start = torch.full_like(classes[:, :1], self.decoder.dictionary.start_idx)
        fed = samples_of(torch.cat([start, classes[:, :-1]], 1), samples)
        return self.decoder.forward_train(feature_map, sequence, fed)

    def probabilities(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> Tensor:
        """Decode as in testing, without a gradient, and return the probabilities ``(N, T, K)``.

        They are those of ``decoder.forward_test``, up to rounding; steps after the end of the last
        text may be missing.
        """
        with no_grad(), evaluating(self.decoder):
            return self.decoder.forward_test(feature_map, sequence, samples)

    def word_confidences(
        self, probabilities: Tensor, valid_ratio: Tensor, length_normalized: bool = False
    ) -> Tensor:
        """Return the probability of each predicted text, ``(N,)``.

        It is the product of the highest probabilities of all steps up to the first end token. For
        CTC it is the sum over all alignments of the text with the frames without padding, see
        :func:`~mmocr_da.models.decoders.ctc_alignment.greedy_log_likelihood`.

        Args:
            probabilities: ``(N, T, K)``, the output of the decoder in testing.
            valid_ratio: ``(N,)`` on the CPU, see :mod:`mmocr_da.models.valid_ratio`.
            length_normalized: Return the root of the probability, of degree characters + 1: its
                geometric mean over the characters and the end of the word.
        """
        probabilities = probabilities.float()
        dictionary = self.decoder.dictionary
        if isinstance(self.decoder.module_loss, CTCModuleLoss):
            frames = num_valid(valid_ratio, probabilities.size(1))
            found, characters = greedy_log_likelihood(probabilities, frames, dictionary.padding_idx)
            steps = characters + 1
        else:
            highest, classes = probabilities.max(-1)
            counted = steps_until_end(classes, dictionary)
            found, steps = highest.log().masked_fill(~counted, 0).sum(1), counted.sum(1)
        return (found / steps if length_normalized else found).exp()

    def attention(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> AttendedSteps:
        """Decode as in testing, and return where the decoder looks for each character.

        Attention decoders return their weights: of a transformer those of the last layer, averaged
        over the heads. CTC decoders have a weight of each frame: the probability of the character
        in the frames of the best path that show it, and 0 elsewhere.

        Raises:
            ValueError: If the decoder cannot tell.
        """
        raise self.blind()

    def blind(self) -> ValueError:
        """Return the error of a decoder that cannot tell where it looks."""
        return ValueError(
            f'{self.name} does not say where it looks for a character; an adapter of the decoder '
            'can, by a method attention()'
        )

    # Decoding that is fed classes of its own.

    def check_feeding(self, purpose: str) -> None:
        """Raise a ValueError if the decoder is not fed its own prediction, step by step.

        Args:
            purpose: Name of the user of the prediction, for the message.
        """
        raise ValueError(
            f'{purpose} needs a decoder that is fed the characters before each character, got '
            f'{self.name}; use a recognizer with ASTER, SAR, NRTR, SATRN, MASTER or RobustScanner, '
            'or remove the objective'
        )

    def check_drawing(self, purpose: str) -> None:
        """Raise a ValueError if :meth:`draw_texts` does not work for this very decoder."""
        self.check_feeding(purpose)

    def draw_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
    ) -> tuple[Tensor, Tensor]:
        """Decode with drawn classes; each step is fed the class that was drawn before it.

        Args:
            feature_map, sequence, samples: As in :meth:`decode`.
            draws: Draws the classes.

        Returns:
            Logits ``(N, T, K)`` with gradients, and the drawn classes ``(N, T)``.
        """
        raise NotImplementedError

    def draw_texts(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
        count: int,
    ) -> DrawnTexts:
        """Draw texts from the distribution of the recognizer, ``count`` for each image."""
        rows = torch.arange(len(samples)).repeat_interleave(count)
        index = on_device(rows, feature_map.device)
        repeated = [samples[row] for row in rows.tolist()]
        logits, classes = self.draw_steps(
            feature_map[index], rows_of(sequence, index), repeated, draws
        )
        return self.drawn_texts(logits, classes, count)

    def drawn_texts(self, logits: Tensor, classes: Tensor, count: int) -> DrawnTexts:
        """Return what drawn classes ``(N * count, T)`` say, and how probable it is."""
        dtype = torch.promote_types(logits.dtype, torch.float32)
        log_p = logits.log_softmax(-1, dtype).gather(2, classes[..., None]).squeeze(2)
        log_p = log_p.masked_fill(~steps_until_end(classes, self.decoder.dictionary), 0)
        words = words_in(classes, self.decoder.dictionary)
        return DrawnTexts(in_groups(words, count), log_p.sum(1).unflatten(0, (-1, count)))

    def mixed_output(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        label_probability: float,
        draws: RandomDraws,
    ) -> Any:
        """Run the decoder as in training, fed its own classes instead of some of the labels.

        Args:
            feature_map, sequence: As in :meth:`decode`.
            samples: One per image, after ``module_loss.get_targets``.
            label_probability: Probability of each step after the first one to be fed the label.
            draws: Draws these steps, and the classes that the others are fed.

        Returns:
            What the decoder's loss is computed from.
        """
        raise NotImplementedError

    # The supervised loss.

    def final_logits(self, output: Any) -> Tensor:
        """Return the logits ``(N, T, K)`` of the prediction from the output in training."""
        assert isinstance(output, Tensor)
        return output

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the losses that the decoder's loss returns."""
        return ('loss_ce',)

    def loss(self, logits: Tensor, samples: Sequence[TextRecogDataSample]) -> dict[str, Tensor]:
        """Compute the decoder's loss from logits ``(N, T, K)``, which may end early."""
        return self.decoder.module_loss(logits, samples)

    def ignored_index(self) -> int | None:
        """Return the target that the decoder's loss ignores; None if it is no loss per character.

        It is the cross-entropy's of MMOCR, or the one that the loss of ABINet consists of.
        """
        module_loss = cross_entropy_of(self.decoder)
        return module_loss.ignore_index if isinstance(module_loss, CEModuleLoss) else None

    def ignore_characters(
        self, samples: Sequence[TextRecogDataSample], learned: Sequence[Sequence[bool]]
    ) -> None:
        """Let the loss ignore some characters of labels, in place; the end of each is kept.

        Args:
            samples: Labelled samples after ``module_loss.get_targets``. Decode them first: decoders
                are fed the characters that are ignored, too.
            learned: Whether each character of each label is learned.
        """
        index = self.ignored_index()
        assert index is not None
        tokens = torch.stack([sample.gt_text.padded_indexes for sample in samples])
        first = int(self.decoder.dictionary.start_idx is not None)
        ignored = torch.zeros(tokens.shape, dtype=torch.bool)
        for row, keep in zip(ignored, learned):
            part = row[first : first + len(keep)]  # a long label is cut
            part[:] = ~torch.tensor(keep[: len(part)], dtype=torch.bool)
        ignored[:, -1] = False  # a cut label has no end
        tokens = tokens.masked_fill(on_device(ignored, tokens.device), index)
        for sample, row in zip(samples, tokens):
            sample.gt_text.padded_indexes = row

    def count_supervised(self, samples: Sequence[TextRecogDataSample]) -> Tensor | None:
        """Count the steps over which the decoder's loss is a mean; None if it is not such a mean.

        Args:
            samples: Labelled samples, after ``module_loss.get_targets``.
        """
        module_loss = self.decoder.module_loss
        if getattr(getattr(module_loss, 'loss_ce', None), 'reduction', None) != 'mean':
            return None
        if not samples:
            return torch.zeros(())
        tokens = torch.stack([s.gt_text.padded_indexes for s in samples])
        tokens = tokens[:, 1:] if module_loss.ignore_first_char else tokens
        return (tokens != module_loss.ignore_index).sum().float()

    # Pre-training of the encoder.

    #: Names of the parts of the decoder that count as encoder, such as the BiLSTMs of CRNN.
    encoder_parts: tuple[str, ...] = ()

    def sequence_model(self) -> BaseDecoder:
        """Return the decoder without its classifier, for decoders that hold the sequence model.

        Raises:
            ValueError: If the decoder holds no sequence model.
        """
        raise ValueError(
            "representation='H' needs an encoder, or a CRNNDecoder with rnn_flag=True, got "
            f"{self.name} alone; set representation='V', the feature map of the backbone"
        )


def in_groups(items: Sequence[Any], size: int) -> list[list[Any]]:
    """Divide a list into lists of equal size.

    >>> in_groups([1, 2, 3, 4], 2)
    [[1, 2], [3, 4]]
    """
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def as_steps(inputs: list[Tensor], logits: Tensor) -> Tensor:
    """Stack the inputs of a classifier that were recorded during decoding, to ``(N, T, H)``."""
    x = inputs[-1]
    if len(inputs) > 1 and x.dim() == 2:
        return torch.stack(inputs, 1)  # step by step
    # Else the last pass has all steps; one before it was greedy, for the tokens to feed.
    if x.dim() == 4:  # a convolution over (N, H, 1, T)
        return x.squeeze(2).transpose(1, 2)
    if x.dim() == 2:  # MMOCR's BidirectionalLSTM, (T * N, H), or a single step
        return x.view(logits.size(1), logits.size(0), -1).transpose(0, 1)
    return x
