"""MMOCR's decoders of SAR, which attend to the feature map."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.decoders import ParallelSARDecoder, SequentialSARDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from .adapter import register_adapter
from .recording import recorded
from .recurrent import RecurrentAdapter, padded_positions
from .steps import padding_of

#: Why a bidirectional layer is refused.
BACKWARDS = (
    'with dec_bi_rnn=True a step sees the labels of later characters, so its features are not '
    'those of testing; set dec_bi_rnn=False'
)


class MapMemory(NamedTuple):
    """What the decoders of SAR attend to.

    Attributes:
        values: The positions of the feature map, ``(N, L, C)``.
        keys: ``(N, L, d_k)``.
        padding: ``(N, L)`` bool, positions without attention, or None.
        holistic: The output of the encoder, ``(N, D)``.
    """

    values: Tensor
    keys: Tensor
    padding: Tensor | None
    holistic: Tensor


class SARAdapter(RecurrentAdapter):
    """Base of the adapters for both decoders, which differ in the recurrent layers alone."""

    classifier_name = 'prediction'

    def feature_channels(self, character_feature: str) -> int:
        if character_feature == 'context':
            return self.decoder.conv3x3_1.in_channels
        return super().feature_channels(character_feature)

    def memory(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> MapMemory:
        assert feature_map is not None and sequence is not None
        padding = padded_positions(feature_map, samples) if self.decoder.mask else None
        values, keys = (
            x.flatten(2).transpose(1, 2) for x in (feature_map, self.decoder.conv3x3_1(feature_map))
        )
        return MapMemory(values, keys, padding, sequence)

    def recur(self, fed: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run the recurrent layers for one step: hidden vectors ``(N, D)``, and the next state."""
        raise NotImplementedError

    def initial_state(self, memory: MapMemory) -> Any:
        """The state after the encoder's output, the first that the recurrent layers are fed."""
        return self.recur(memory.holistic, None)[1]

    def step(self, memory: MapMemory, state: Any, previous: Tensor) -> tuple[Tensor, Tensor, Any]:
        """Repeat ``_2d_attention`` for one step."""
        decoder = self.decoder
        hidden, state = self.recur(decoder.embedding(previous), state)
        # One of the decoders has linear layers here, the other one convolutions of size 1.
        query, score = decoder.conv1x1_1, decoder.conv1x1_2
        query = F.linear(hidden, query.weight.flatten(1), query.bias)
        scores = torch.tanh(memory.keys + query[:, None])
        scores = F.linear(scores, score.weight.flatten(1), score.bias).squeeze(-1)
        if memory.padding is not None:
            scores = scores.masked_fill(memory.padding, float('-inf'))
        context = torch.bmm(scores.softmax(-1)[:, None], memory.values).squeeze(1)
        fed = [hidden, context, memory.holistic] if decoder.pred_concat else [context]
        return decoder.prediction(torch.cat(fed, 1)), context, state

    def attention_weights(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> tuple[Tensor, Tensor]:
        classes = self.run(feature_map, sequence, samples)[1].argmax(-1)
        steps, most = classes.size(1), self.decoder.max_seq_len
        fed = F.pad(classes, (0, most - steps), value=padding_of(self.decoder))
        # MMOCR's own pass; the parallel one begins with a step for the encoder's output.
        with recorded(self.decoder.conv1x1_2, lambda _, x: x.flatten(2)) as scores:
            self.logits_of(feature_map, sequence, samples, fed)
        weights = torch.cat(scores, 1)[:, -most:][:, :steps]
        if self.decoder.mask:
            padding = padded_positions(feature_map, samples)
            assert padding is not None
            weights = weights.masked_fill(padding[:, None], float('-inf'))
        return classes, weights.softmax(-1)

    def training_output(self, logits: Tensor) -> Tensor:
        """The logits after the dropout that MMOCR applies to them."""
        return self.decoder.pred_dropout(logits)


@register_adapter(ParallelSARDecoder)
class ParallelSARAdapter(SARAdapter):
    """Adapter for a recurrent layer that is fed all characters at once in training."""

    def can_step(self) -> bool:
        """A layer that reads backwards, too, has seen the characters to come."""
        return super().can_step() and not self.decoder.rnn_decoder.bidirectional

    def obstacle(self) -> str:
        return BACKWARDS if self.decoder.rnn_decoder.bidirectional else super().obstacle()

    def check_greedy(self, purpose: str) -> None:
        super().check_greedy(purpose)
        if self.decoder.rnn_decoder.bidirectional:
            raise ValueError(
                f'{purpose} needs the prediction of testing, got {self.name}: {BACKWARDS}'
            )

    def recur(self, fed: Tensor, state: Any) -> tuple[Tensor, Any]:
        hidden, state = self.decoder.rnn_decoder(fed[:, None], state)
        return hidden.squeeze(1), state


@register_adapter(SequentialSARDecoder)
class SequentialSARAdapter(SARAdapter):
    """Adapter for recurrent cells.

    MMOCR's own loop uses the hidden vector as the cell of the next step, from the second step on;
    so does this. With ``dec_gru=True`` MMOCR's loop for testing fails; this one works.
    """

    def recur(self, fed: Tensor, state: Any) -> tuple[Tensor, Any]:
        decoder = self.decoder
        first, second = (None, None) if state is None else state
        layers = decoder.rnn_decoder_layer1, decoder.rnn_decoder_layer2
        if decoder.dec_gru:
            first = layers[0](fed, first)
            second = layers[1](first, second)
            return second, (first, second)
        lower, upper = layers[0](fed, first), None
        upper = layers[1](lower[0], second)
        if state is None:
            return upper[0], (lower, upper)
        return upper[0], ((lower[0], lower[0]), (upper[0], upper[0]))
