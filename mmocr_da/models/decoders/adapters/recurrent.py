"""Decoders that attend to a memory and decode one character after the other."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.device import on_device

from ..character_features import DecodedSteps
from .adapter import DecoderAdapter
from .tokens import label_tokens, token_steps


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
        tokens, lengths = label_tokens(decoder, samples, labelled, device)
        tokens = F.pad(tokens, (0, 1), value=padding)
        # Steps after the end token matter to the loss unless it ignores the padding.
        ignored = decoder.module_loss.ignore_index == padding
        steps = int(lengths.max()) + 1 if ignored else decoder.max_seq_len
        lengths, forced = (on_device(x, device) for x in (lengths, torch.tensor(labelled)))
        contexts, logits = self.run(feature_map, sequence, tokens, forced, steps, steps)
        labels = tokens[:, 1 : logits.size(1) + 1]
        return token_steps(decoder, contexts, logits, labels, lengths, forced)

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
