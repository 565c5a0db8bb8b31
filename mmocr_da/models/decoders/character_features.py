"""The tap: per-character features of a decoder, for both domains in one pass.

Everything a sequence method needs to know about a decoder is the table ``_TAPS`` at the end of this
file: one function per decoder class.
"""
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.decoders import ASTERDecoder
from mmocr.models.textrecog.decoders.base import BaseDecoder
from torch import Tensor

from .attention_decoder import AttentionDecoder, attend


@dataclass
class CharacterFeatures:
    """What a decoder knows about each character of ``N`` images.

    Shape: ``features (N, T, D)``, ``logits (N, T, K)``, ``valid (N, T)`` bool, ``targets (N, T)``.
    ``valid`` marks steps that are a character: before the end token, neither start token nor
    padding. It comes from the label where there is one and from the reading where there is none;
    ``targets`` exists for labelled images only.
    """

    features: Tensor
    logits: Tensor
    valid: Tensor
    targets: Optional[Tensor] = None


# (decoder, feature map, encoder output, forced tokens, forced rows, steps) -> (features, logits)
Tap = Callable[[BaseDecoder, Tensor, Optional[Tensor], Tensor, Tensor, int], Tuple[Tensor, Tensor]]


class CharacterTap:
    """Decodes labelled rows with teacher forcing and unlabelled rows freely, in one loop.

    The two kinds of rows share every step, so that ``B + B`` images cost what ``2B`` labelled ones
    do; the loop ends when every label is spent and every free reading has ended.

    Args:
        decoder: A decoder of :func:`supported_decoders`.
        hook_point: Which vector of a step is its feature: ``'context'``, the attention-weighted
            sum ``c_k`` (eq. 2), or ``'hidden'``, the input of the final classifier.
    """

    def __init__(self, decoder: BaseDecoder, hook_point: str = 'context') -> None:
        if hook_point not in ('context', 'hidden'):
            raise ValueError(f"hook_point must be 'context' or 'hidden', got {hook_point!r}")
        if not self.fits(decoder):
            raise ValueError(
                f'characters of {type(decoder).__name__} cannot be aligned: objectives of single '
                f'characters work with {", ".join(supported_decoders())} whose module_loss is a '
                'CEModuleLoss with ignore_first_char=True; GlobalAlignment works with all decoders')
        self.tap = next(_TAPS[c] for c in type(decoder).__mro__ if c in _TAPS)
        self.hook_point = hook_point

    @staticmethod
    def fits(decoder: BaseDecoder) -> bool:
        """Whether the table knows the decoder, and step ``k`` predicts the character ``k``."""
        return (any(c in _TAPS for c in type(decoder).__mro__)
                and getattr(decoder.module_loss, 'ignore_first_char', False))

    def __call__(self, decoder: BaseDecoder, feature_map: Tensor, sequence: Optional[Tensor],
                 labels: List[Optional[Tuple[Tensor, int]]],
                 all_steps: bool = False) -> CharacterFeatures:
        """``labels`` has one entry per image: ``(padded_indexes, length)`` or None.

        Returns features and logits of all rows, ``T <= max_seq_len`` steps, ``max_seq_len`` with
        ``all_steps``; ``targets`` of rows without a label are the padding index.
        """
        device = feature_map.device
        forced = torch.tensor([x is not None for x in labels], device=device)
        padding = decoder.module_loss.pad_idx
        tokens = torch.full((len(labels), decoder.max_seq_len + 1), padding)
        lengths = torch.zeros(len(labels), dtype=torch.long)
        for row, label in enumerate(labels):
            if label is not None:
                tokens[row, :-1] = label[0]
                # The last token of a text that fills max_seq_len is cut off.
                lengths[row] = min(label[1], decoder.max_seq_len - 1)
        # Steps behind the end token matter to the loss unless it ignores the padding.
        ignored = decoder.module_loss.ignore_index == padding
        steps = int(lengths.max()) + 1 if ignored and not all_steps else decoder.max_seq_len
        tokens, lengths = tokens.to(device), lengths.to(device)
        features, logits = self.tap(decoder, feature_map, sequence, tokens, forced, steps,
                                    self.hook_point)
        count = logits.size(1)
        by_label = torch.arange(count, device=device) < lengths[:, None]
        valid = torch.where(forced[:, None], by_label, read_characters(decoder, logits))
        return CharacterFeatures(features, logits, valid, tokens[:, 1:count + 1])


def read_characters(decoder: BaseDecoder, logits: Tensor) -> Tensor:
    """Steps of a free reading that are characters, ``(N, T, K) -> (N, T)`` bool."""
    words = decoder.dictionary
    reading = logits.argmax(-1)
    started = (reading == words.end_idx).cumsum(1) == 0
    for special in (words.start_idx, words.padding_idx):
        if special is not None:
            started = started & (reading != special)
    return started


def pad_steps(logits: Tensor, steps: int) -> Tensor:
    """Logits ``(N, T, K)`` with zeros behind, so that there are ``steps`` of them.

    Only for steps that no loss looks at.
    """
    return F.pad(logits, (0, 0, 0, steps - logits.size(1)))


def supported_decoders() -> List[str]:
    """Names of the decoders whose characters can be tapped (and of their subclasses)."""
    return [c.__name__ for c in _TAPS]


def _recurrent(decoder, feature_map, sequence, tokens, forced, steps, hook_point):
    """Decoders that read one character at a time from a memory."""
    if isinstance(decoder, AttentionDecoder):
        memory, step = decoder.memory(feature_map, sequence), decoder.step
        state = decoder.initial_state(memory)
    else:
        memory = sequence
        state = memory.new_zeros(1, memory.size(0), decoder.hidden_size)

        def step(memory, projected, state, previous):
            return _aster_step(decoder, memory, projected, state, previous)

    classifier_input: List[Tensor] = []
    handle = decoder.fc.register_forward_pre_hook(lambda _, x: classifier_input.append(x[0]))
    try:
        projected = decoder.proj_feat(memory)
        previous = torch.full_like(tokens[:, 0], decoder.start_idx)
        ended = forced.clone()
        contexts, logits = [], []
        for k in range(decoder.max_seq_len):
            if k:
                reading = logits[-1].argmax(-1)
                ended = ended | (reading == decoder.dictionary.end_idx)
                if k >= steps and bool(ended.all()):
                    break
                previous = torch.where(forced, tokens[:, k], reading)
            scores, context, state = step(memory, projected, state, previous)
            contexts.append(context)
            logits.append(scores)
    finally:
        handle.remove()
    features = contexts if hook_point == 'context' else classifier_input
    return torch.stack(features, 1), torch.stack(logits, 1)


def _aster_step(decoder: ASTERDecoder, memory: Tensor, projected: Tensor, state: Tensor,
                previous: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """``ASTERDecoder._attention``, which computes the context and does not return it."""
    context = attend(decoder, memory, projected, state[0])
    step = torch.cat([decoder.embedding(previous), context], 1).unsqueeze(1)
    output, state = decoder.gru(step, state)
    return decoder.fc(output.squeeze(1)), context, state


_TAPS: Dict[type, Tap] = {
    ASTERDecoder: _recurrent,  # context c_k, eq. 2
    AttentionDecoder: _recurrent,  # context c_k, eq. 2
}
