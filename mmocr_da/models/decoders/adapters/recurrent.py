"""Decoders that attend to a memory and decode one character after the other."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.device import on_device

from ..character_features import DecodedSteps
from .adapter import DecoderAdapter


class RecurrentAdapter(DecoderAdapter):
    """Base of adapters for recurrent attention decoders; a subclass defines one step.

    The decoder has ``proj_feat``, the projection of its memory, and the classifier ``fc``.
    """

    has_characters = True
    stops_early = True
    classifier_name = 'fc'

    def memory(self, feature_map: Tensor, sequence: Tensor | None) -> Tensor:
        """Return the sequence that the decoder attends to, ``(N, L, D)``."""
        raise NotImplementedError

    def initial_state(self, memory: Tensor) -> Any:
        """Return the state before the first step."""
        raise NotImplementedError

    def step(
        self, memory: Tensor, projected: Tensor, state: Any, previous: Tensor
    ) -> tuple[Tensor, Tensor, Any]:
        """Decode one character.

        Args:
            memory: See :meth:`memory`.
            projected: ``proj_feat(memory)``, which does not depend on the step.
            state: The state after the step before.
            previous: ``(N,)``, the class that is fed back.

        Returns:
            Logits ``(N, K)``, the context ``(N, D)``, and the next state.
        """
        raise NotImplementedError

    def loss_fits(self) -> bool:
        """Whether step ``k`` predicts character ``k``, so that the start token has no step."""
        return getattr(self.decoder.module_loss, 'ignore_first_char', False)

    def feature_channels(self, character_feature: str) -> int:
        if character_feature == 'context':
            return self.decoder.proj_feat.in_features
        return super().feature_channels(character_feature)

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        decoder, device = self.decoder, feature_map.device
        padding = decoder.module_loss.pad_idx
        unlabelled = torch.full((decoder.max_seq_len,), padding, device=device)
        rows = [
            on_device(s.gt_text.padded_indexes, device) if known else unlabelled
            for s, known in zip(samples, labelled)
        ]
        tokens = F.pad(torch.stack(rows), (0, 1), value=padding)
        # The last token of a text that fills max_seq_len is cut off.
        lengths = torch.tensor(
            [
                min(len(s.gt_text.indexes), decoder.max_seq_len - 1) if known else 0
                for s, known in zip(samples, labelled)
            ]
        )
        # Steps after the end token matter to the loss unless it ignores the padding.
        ignored = decoder.module_loss.ignore_index == padding
        steps = int(lengths.max()) + 1 if ignored else decoder.max_seq_len
        lengths, forced = (on_device(x, device) for x in (lengths, torch.tensor(labelled)))
        contexts, logits = self.run(feature_map, sequence, tokens, forced, steps, steps)
        labels = tokens[:, 1 : logits.size(1) + 1]
        position = torch.arange(logits.size(1), device=device)
        before_end = position < lengths[:, None]
        # The padding may be end tokens, too. Only the first end token counts, unless it was cut
        # off.
        is_end = (position == lengths[:, None]) & (position < decoder.max_seq_len - 1)
        supervised = before_end | (is_end & (labels == decoder.dictionary.end_idx))
        supervised = supervised & (labels != decoder.module_loss.ignore_index)
        is_character, supervised = (
            torch.where(forced[:, None], by_label, by_prediction)
            for by_label, by_prediction in zip(
                (before_end, supervised), predicted_characters(decoder, logits)
            )
        )
        return DecodedSteps(contexts, logits, is_character, supervised, labels)

    def predict(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> Tensor:
        """Decode greedily in one pass, which ends with the last prediction.

        See :meth:`DecoderAdapter.predict`.
        """
        count, device = len(samples), feature_map.device
        decoder = self.decoder
        start = torch.full((count, decoder.max_seq_len), decoder.start_idx, device=device)
        forced = torch.zeros(count, dtype=torch.bool, device=device)
        lengths = [len(s.gt_text.get('indexes', ())) for s in samples if 'gt_text' in s]
        expected = max(lengths, default=0) + 1
        return self.run(feature_map, sequence, start, forced, 0, expected)[1]

    def run(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        tokens: Tensor,
        forced: Tensor,
        steps: int,
        expected: int,
    ) -> tuple[Tensor, Tensor]:
        """Run the decoder step by step.

        The loop ends after ``steps`` steps, once all rows that are not forced have ended.

        Args:
            feature_map, sequence: As in :meth:`decode`.
            tokens: ``(N, T)``, the tokens that the forced rows are fed.
            forced: ``(N,)`` bool, rows that are teacher-forced; the others are fed their own
                predictions.
            steps: Number of steps that are needed in any case.
            expected: Number of steps after which, on a GPU, the loop checks once whether all rows
                have ended; if not, it runs to the last step. Each check makes the host wait.

        Returns:
            Contexts ``(N, T, D)`` and logits ``(N, T, K)``.
        """
        decoder = self.decoder
        memory = self.memory(feature_map, sequence)
        state = self.initial_state(memory)
        projected = decoder.proj_feat(memory)
        previous = torch.full_like(tokens[:, 0], decoder.start_idx)
        ended = forced.clone()
        contexts: list[Tensor] = []
        logits: list[Tensor] = []
        on_cpu = memory.device.type == 'cpu'
        asking = range(steps, decoder.max_seq_len) if on_cpu else [expected]
        for k in range(decoder.max_seq_len):
            if k:
                predicted = logits[-1].argmax(-1)
                ended = ended | (predicted == decoder.dictionary.end_idx)
                if k in asking and bool(ended.all()):
                    break
                previous = torch.where(forced, tokens[:, k], predicted)
            scores, context, state = self.step(memory, projected, state, previous)
            contexts.append(context)
            logits.append(scores)
        return torch.stack(contexts, 1), torch.stack(logits, 1)

    def loss(self, logits: Tensor, samples: Sequence[TextRecogDataSample]) -> dict[str, Tensor]:
        """Compute the decoder's loss; steps at the end that no label uses may be missing."""
        missing = self.decoder.max_seq_len - logits.size(1)
        return super().loss(F.pad(logits, (0, 0, 0, missing)), samples)


def predicted_characters(decoder: BaseDecoder, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Find the steps of a greedy prediction that are characters, and the first end tokens.

    ``(N, T, K) -> (N, T), (N, T)`` bool.
    """
    dictionary = decoder.dictionary
    predicted = logits.argmax(-1)
    is_end = predicted == (-1 if dictionary.end_idx is None else dictionary.end_idx)
    ended = is_end.cumsum(1)
    characters = ended == 0
    for special in {dictionary.start_idx, dictionary.padding_idx} - {None, dictionary.end_idx}:
        characters = characters & (predicted != special)
    return characters, characters | (is_end & (ended == 1))
