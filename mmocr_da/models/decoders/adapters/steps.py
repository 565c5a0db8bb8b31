"""Decoders that predict one character after the other, each from those before it."""

from collections.abc import Callable, Container, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.compat import no_grad

from ...freezing import evaluating
from ..character_features import AttendedSteps, DecodedSteps
from ..drawing import RandomDraws
from .adapter import DecoderAdapter
from .tokens import predicted_characters, token_steps

#: On a GPU, number of steps from one question whether all rows have ended to the next.
ASK_EVERY = 4


class StepAdapter(DecoderAdapter):
    """Base of adapters for autoregressive decoders; a subclass defines one step.

    What does not change from step to step is computed once (:meth:`memory`), and what earlier steps
    have computed is kept (the state). MMOCR's transformers, its parallel SAR and its RobustScanner
    compute all steps again for each character.

    An export to ONNX traces these methods. There a batch is as large as ``x.size(0)``, as
    ``len(x)`` is a constant; nothing can be written in place; and the samples are a
    :class:`~mmocr_da.models.valid_ratio.RatioSamples`.
    """

    has_characters = True
    stops_early = True

    def memory(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> Any:
        """Return what all steps use.

        Args:
            feature_map, sequence: As in :meth:`decode`.
            samples: Their ``valid_ratio`` is used by decoders that mask padding; None for no mask.
        """
        raise NotImplementedError

    def initial_state(self, memory: Any) -> Any:
        """Return the state before the first step."""
        raise NotImplementedError

    def step(self, memory: Any, state: Any, previous: Tensor) -> tuple[Tensor, Tensor | None, Any]:
        """Predict one character.

        Args:
            memory: See :meth:`memory`.
            state: The state after the step before.
            previous: ``(N,)``, the class that is fed back.

        Returns:
            Logits ``(N, K)``, the context ``(N, D)`` or None, and the next state.
        """
        raise NotImplementedError

    def training_output(self, logits: Tensor) -> Any:
        """Return the output of the decoder in training, if it is not the logits; else None."""
        return None

    def loss_fits(self) -> bool:
        """Whether step ``k`` predicts character ``k``, so that the start token has no step."""
        return getattr(self.decoder.module_loss, 'ignore_first_char', False)

    def can_step(self) -> bool:
        """Whether :meth:`step` computes what this very decoder computes."""
        return self.is_known()

    def obstacle(self) -> str:
        """See :meth:`DecoderAdapter.obstacle`."""
        if not self.is_known():
            return (
                f'it changes methods of {self.known.__name__}; register an adapter for it '
                '(mmocr_da.models.decoders.register_adapter)'
            )
        return super().obstacle()

    def run(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
        feed: Callable[[int, Tensor], Tensor] | None = None,
        steps: int = 0,
        expected: int | None = None,
        ended: Tensor | None = None,
        most: int | None = None,
        choose: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Run the decoder step by step, until all rows have ended.

        Args:
            feature_map, sequence, samples: As in :meth:`memory`.
            feed: Returns what is fed to step ``k`` from the prediction ``(N,)`` of step ``k - 1``;
                by default this prediction.
            steps: Number of steps that are needed in any case.
            expected: Number of steps after which, on a GPU, the loop asks once whether all rows
                have ended, and if not, goes on to the last step: each question makes the host wait.
                None to ask every few steps. On a CPU it asks after each step.
            ended: ``(N,)`` bool, rows that need no more than ``steps`` steps.
            most: Number of steps at which it ends in any case; None for ``decoder.max_seq_len``.
            choose: Returns the prediction ``(N,)`` of a step from its logits ``(N, K)``; by default
                the class with the highest one.

        Returns:
            Contexts ``(N, T, D)``, or None, and logits ``(N, T, K)``.
        """
        decoder = self.decoder
        like = sequence if feature_map is None else feature_map
        assert like is not None
        memory = self.memory(feature_map, sequence, samples)
        state = self.initial_state(memory)
        start = decoder.dictionary.start_idx
        previous = torch.full((like.size(0),), start, dtype=torch.long, device=like.device)
        ended = torch.zeros_like(previous, dtype=torch.bool) if ended is None else ended
        asks: Container[int | None] = [expected]
        if like.device.type == 'cpu' or expected is None:
            every = 1 if like.device.type == 'cpu' else ASK_EVERY
            asks = range(every, decoder.max_seq_len, every)
        end = -1 if decoder.dictionary.end_idx is None else decoder.dictionary.end_idx
        contexts: list[Tensor] = []
        logits: list[Tensor] = []
        for k in range(decoder.max_seq_len if most is None else most):
            if k:
                previous = logits[-1].argmax(-1) if choose is None else choose(logits[-1])
                ended = ended | (previous == end)
                if k >= steps and k in asks and bool(ended.all()):
                    break
                previous = previous if feed is None else feed(k, previous)
            scores, context, state = self.step(memory, state, previous)
            logits.append(scores)
            contexts += [] if context is None else [context]
        return torch.stack(contexts, 1) if contexts else None, torch.stack(logits, 1)

    def greedy(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
        expected: int | None = None,
    ) -> Tensor:
        """Decode greedily without a gradient; the logits ``(N, T, K)`` end with the last text.

        Args:
            feature_map, sequence, samples: As in :meth:`memory`.
            expected: As in :meth:`run`.
        """
        with no_grad(), evaluating(self.decoder):
            return self.run(feature_map, sequence, samples, expected=expected)[1]

    def check_feeding(self, purpose: str) -> None:
        """See :meth:`DecoderAdapter.check_feeding`."""
        self.check_greedy(purpose)
        if not self.can_step():
            raise ValueError(
                f'{purpose} decodes {self.name} character by character, which cannot be done here: '
                f'{self.obstacle()}'
            )

    def draw_by_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`DecoderAdapter.draw_steps`; the logits have the gradients of :meth:`step`."""
        drawn: list[Tensor] = []

        def choose(scores: Tensor) -> Tensor:
            drawn.append(draws.classes(scores))
            return drawn[-1]

        _, logits = self.run(feature_map, sequence, samples, choose=choose)
        if len(drawn) < logits.size(1):  # nothing is fed the last one
            choose(logits[:, -1])
        return logits, torch.stack(drawn, 1)

    def probabilities(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample] | None,
    ) -> Tensor:
        """See :meth:`DecoderAdapter.probabilities`; they end with the last text."""
        if not self.can_step():
            return super().probabilities(feature_map, sequence, samples)
        return self.greedy(feature_map, sequence, samples).softmax(-1)

    def attention(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> AttendedSteps:
        """See :meth:`DecoderAdapter.attention`; the weights of a step add up to 1."""
        self.check_feeding('a picture of attention')
        with no_grad(), evaluating(self.decoder):
            classes, weights = self.attention_weights(feature_map, sequence, samples)
        return AttendedSteps(classes, predicted_characters(self.decoder, classes)[0], weights)

    def attention_weights(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> tuple[Tensor, Tensor]:
        """Return the greedy prediction ``(N, T)`` and its weights ``(N, T, L)``.

        A subclass that does not define it cannot tell.
        """
        raise self.blind()

    def steps_of(
        self,
        contexts: Tensor | None,
        logits: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        forced: Tensor,
        predicted: Tensor | None = None,
    ) -> DecodedSteps:
        """Say what the steps are, see :func:`token_steps`; ``tokens`` have the start token."""
        labels = F.pad(tokens, (0, 1), value=padding_of(self.decoder))[:, 1 : logits.size(1) + 1]
        found = token_steps(self.decoder, contexts, logits, labels, lengths, forced, predicted)
        return found._replace(output=self.training_output(logits))

    def needed_steps(self, lengths: Tensor) -> int:
        """Return how many steps the loss needs for labels of these lengths, ``(N,)`` on the CPU."""
        decoder = self.decoder
        # Steps after the end token matter to the loss unless it ignores the padding.
        ignored = decoder.module_loss.ignore_index == padding_of(decoder)
        return int(lengths.max()) + 1 if ignored and len(lengths) else decoder.max_seq_len

    def loss(self, logits: Tensor, samples: Sequence[TextRecogDataSample]) -> dict[str, Tensor]:
        """Compute the decoder's loss; steps at the end that no label uses may be missing."""
        missing = self.decoder.max_seq_len - logits.size(1)
        return super().loss(F.pad(logits, (0, 0, 0, missing)), samples)


def padding_of(decoder: BaseDecoder) -> int:
    """Return the class that labels are padded with."""
    return decoder.module_loss.pad_idx


def expected_steps(samples: Sequence[TextRecogDataSample]) -> int:
    """Return the number of steps of the longest label of the samples, if they have any."""
    lengths = [len(s.gt_text.get('indexes', ())) for s in samples if 'gt_text' in s]
    return max(lengths, default=0) + 1
