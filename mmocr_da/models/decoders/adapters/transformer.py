"""Transformer decoders: greedy decoding with cached keys and values, then one parallel pass."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.compat import no_grad
from mmocr_da.device import on_device

from ...freezing import evaluating
from ..character_features import DecodedSteps
from ..drawing import RandomDraws
from .recording import recorded
from .steps import StepAdapter, padding_of
from .tokens import label_tokens, samples_of


class Projection(NamedTuple):
    """A linear layer ``(D) -> (D_out)``, by its weight and bias."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor, heads: int) -> Tensor:
        """Project to heads, ``(N, L, D) -> (N, heads, L, D_out / heads)``."""
        return F.linear(x, *self).unflatten(-1, (heads, -1)).transpose(1, 2)


class Layer(NamedTuple):
    """The parts of a layer that normalizes before each of its three parts.

    Attributes:
        norms: Before the self-attention, the attention to the memory and the feed-forward part.
        query_key_value: The projections of the self-attention, one after the other.
        self_output: The linear layer after the heads of the self-attention.
        query: The projection of the queries of the attention to the memory.
        key_value: The projections of the memory, one after the other.
        output: The linear layer after the heads of this attention.
        feed: Called with the normalized input and the input; it adds the input.
        heads: Number of heads.
    """

    norms: Sequence[nn.Module]
    query_key_value: Projection
    self_output: nn.Module
    query: Projection
    key_value: Projection
    output: nn.Module
    feed: Callable[[Tensor, Tensor], Tensor]
    heads: int


class AttendedMemory(NamedTuple):
    """The layers, and what they attend to.

    Attributes:
        layers: See :class:`Layer`.
        keys, values: Of each layer, ``(N, heads, L, D / heads)``.
        visible: ``(N, 1, 1, L)`` bool, or None if all positions are.
    """

    layers: Sequence[Layer]
    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    visible: Tensor | None


class Cache(NamedTuple):
    """What the steps so far have computed.

    Attributes:
        steps: Their number.
        pairs: Of each layer, keys and values ``(N, heads, max_seq_len, D / heads)``, of which
            ``steps`` are filled.
        visible: ``(N, 1, max_seq_len, 1)`` bool, steps that later ones attend to.
    """

    steps: int
    pairs: list[list[Tensor]]
    visible: Tensor


class TransformerAdapter(StepAdapter):
    """Base of adapters for transformer decoders; a subclass says what their parts are.

    Unlabelled rows are decoded greedily, without gradient and without dropout. Then all rows pass
    the decoder once and in parallel: labelled ones are fed their label, the others this prediction,
    for which the logits are those of the greedy pass.

    The steps have no gradient, because they write into the cache. They leave dropout out.
    """

    def layers(self) -> list[Layer]:
        """Return the parts of the decoder's layers."""
        raise NotImplementedError

    def attended(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the memory ``(N, L, D)``, and which positions are not padding, ``(N, L)`` bool."""
        raise NotImplementedError

    def embed(self, previous: Tensor, k: int) -> Tensor:
        """Embed the classes ``(N,)`` that are fed to step ``k``, with its position: ``(N, D)``."""
        raise NotImplementedError

    def can_be_attended(self, previous: Tensor) -> Tensor:
        """Whether later steps attend to the steps that are fed these classes ``(N,)``."""
        raise NotImplementedError

    @property
    def final_norm(self) -> nn.Module:
        """The normalization before the classifier."""
        raise NotImplementedError

    def memory(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> AttendedMemory:
        memory, visible = self.attended(feature_map, sequence, samples)
        layers = self.layers()
        pairs = [layer.key_value(memory, 2 * layer.heads).chunk(2, 1) for layer in layers]
        keys, values = zip(*pairs)
        return AttendedMemory(
            layers, keys, values, None if visible is None else visible[:, None, None]
        )

    def initial_state(self, memory: AttendedMemory) -> Cache:
        steps = self.decoder.max_seq_len
        pairs = []
        for keys in memory.keys:
            n, heads, _, width = keys.shape
            pairs.append([keys.new_empty(n, heads, steps, width) for _ in range(2)])
        visible = torch.empty(n, 1, steps, 1, dtype=torch.bool, device=keys.device)
        return Cache(0, pairs, visible)

    def step(
        self, memory: AttendedMemory, state: Cache, previous: Tensor
    ) -> tuple[Tensor, None, Cache]:
        k = state.steps
        shown = filled(state.visible, self.can_be_attended(previous)[:, None, None, None], k)
        visible = shown[:, :, : k + 1].transpose(2, 3)
        pairs: list[list[Tensor]] = []
        x = self.embed(previous, k)[:, None]
        parts = zip(memory.layers, memory.keys, memory.values, state.pairs)
        for layer, keys, values, pair in parts:
            query, *new = layer.query_key_value(layer.norms[0](x), 3 * layer.heads).chunk(3, 1)
            pairs.append([filled(cached, value, k) for cached, value in zip(pair, new)])
            cached_keys, cached_values = (cached[:, :, : k + 1] for cached in pairs[-1])
            x = x + layer.self_output(attention(query, cached_keys, cached_values, visible))
            query = layer.query(layer.norms[1](x), layer.heads)
            x = x + layer.output(attention(query, keys, values, memory.visible))
            x = layer.feed(layer.norms[2](x), x)
        return self.classifier(self.final_norm(x)[:, 0]), None, Cache(k + 1, pairs, shown)

    def last_attention(self) -> nn.Module:
        """The part of the last layer that weighs the memory, and returns the weights as second.

        They are ``(N, T, L)``, or ``(N, heads, T, L)``.
        """
        raise NotImplementedError

    def attention_weights(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> tuple[Tensor, Tensor]:
        classes = self.greedy(feature_map, sequence, samples).argmax(-1)
        with recorded(self.last_attention(), lambda _, output: output[1]) as found:
            self.logits_of(feature_map, sequence, samples, classes)
        (weights,) = found
        return classes, weights.mean(1) if weights.dim() == 4 else weights

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        decoder, device = self.decoder, feature_map.device
        tokens, lengths = label_tokens(decoder, samples, labelled, device)
        known = torch.tensor(labelled, dtype=torch.bool)
        steps = self.needed_steps(lengths)
        free, lengths, forced = (
            on_device(x, device) for x in ((~known).nonzero().flatten(), lengths, known)
        )
        found = None
        if len(free):
            of_free = [s for s, known in zip(samples, labelled) if not known]
            expected = steps if any(labelled) else None
            memory = feature_map[free], None if sequence is None else sequence[free]
            found = self.greedy(*memory, of_free, expected).argmax(-1)
            steps = max(steps, found.size(1))
            found = F.pad(found, (0, steps - found.size(1)), value=padding_of(decoder))
            tokens[free, 0] = decoder.dictionary.start_idx
            tokens[free, 1:steps] = found[:, :-1]
        logits = decoder.forward_train(
            feature_map, sequence, samples_of(tokens[:, :steps], samples)
        )
        predicted = logits.argmax(-1)
        if found is not None:
            # With dropout the argmax of the second pass may differ from what it was fed.
            predicted[free] = found
        return self.steps_of(None, logits, tokens, lengths, forced, predicted)

    def draw_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`DecoderAdapter.draw_steps`; they are drawn without gradient and dropout."""
        with no_grad(), evaluating(self.decoder):
            logits, classes = self.draw_by_steps(feature_map, sequence, samples, draws)
        if torch.is_grad_enabled():
            logits = self.logits_of(feature_map, sequence, samples, classes)
        return logits, classes

    def mixed_output(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        label_probability: float,
        draws: RandomDraws,
    ) -> Any:
        """See :meth:`DecoderAdapter.mixed_output`; in two parallel passes.

        The first pass is fed the labels, and the second one classes that are drawn from the first
        (Mihaylova & Martins, 2019). No gradient flows through the first one.
        """
        decoder, device = self.decoder, feature_map.device
        tokens, lengths = label_tokens(decoder, samples, [True] * len(samples), device)
        tokens = tokens[:, : self.needed_steps(lengths)]
        with no_grad(), evaluating(decoder):
            first = decoder.forward_train(feature_map, sequence, samples_of(tokens, samples))
        is_label = draws.events(tokens[:, 1:].shape, label_probability, device)
        own = draws.classes(first)[:, :-1]
        fed = torch.cat([tokens[:, :1], torch.where(is_label, tokens[:, 1:], own)], 1)
        return decoder.forward_train(feature_map, sequence, samples_of(fed, samples))


def filled(cache: Tensor, new: Tensor, k: int) -> Tensor:
    """Put what step ``k`` adds, ``(N, heads, 1, D)``, into a cache ``(N, heads, max_seq_len, D)``.

    In a trace the result is a new tensor with ``k + 1`` steps: a graph has no memory to write into.
    """
    if torch.jit.is_tracing():
        return torch.cat([cache[:, :, :k], new], 2) if k else new
    cache[:, :, k : k + 1] = new
    return cache


def attention(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
    """Attend with heads: ``(N, heads, L, D)``, twice ``(N, heads, S, D) -> (N, L, heads * D)``."""
    found = F.scaled_dot_product_attention(query, keys, values, visible)
    return found.transpose(1, 2).flatten(2)


def stacked(*layers: Any) -> Projection:
    """Several linear layers of one input, as one projection."""
    biases = [layer.bias for layer in layers]
    bias = None if biases[0] is None else torch.cat(biases)
    return Projection(torch.cat([layer.weight for layer in layers]), bias)
