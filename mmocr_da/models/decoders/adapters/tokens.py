"""Tokens that a decoder with a step per character is fed, and what its steps are."""

from collections.abc import Sequence

import torch
from mmengine.structures import LabelData
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.device import on_device

from ..character_features import DecodedSteps


def label_tokens(
    decoder: BaseDecoder,
    samples: Sequence[TextRecogDataSample],
    labelled: Sequence[bool],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Stack the labels.

    Returns:
        Tokens ``(N, max_seq_len)`` on the device, which are padding in unlabelled rows, and the
        number of characters of each row on the CPU, 0 without a label.
    """
    unlabelled = torch.full((decoder.max_seq_len,), decoder.module_loss.pad_idx, device=device)
    rows = [
        on_device(s.gt_text.padded_indexes, device) if known else unlabelled
        for s, known in zip(samples, labelled)
    ]
    # The last token of a text that fills max_seq_len is cut off.
    lengths = [
        min(len(s.gt_text.indexes), decoder.max_seq_len - 1) if known else 0
        for s, known in zip(samples, labelled)
    ]
    return torch.stack(rows), torch.tensor(lengths)


def cross_entropy_of(decoder: BaseDecoder) -> nn.Module:
    """Return the loss of single characters, which ABINet's loss contains."""
    loss: nn.Module = getattr(decoder.module_loss, '_ce_loss', decoder.module_loss)
    return loss


def samples_of(tokens: Tensor, samples: Sequence[TextRecogDataSample]) -> list[TextRecogDataSample]:
    """Make samples for ``forward_train`` that feed these tokens, ``(N, T)``, start token first."""
    return [
        TextRecogDataSample(
            gt_text=LabelData(padded_indexes=row),
            metainfo=dict(valid_ratio=sample.get('valid_ratio', 1.0)),
        )
        for row, sample in zip(tokens, samples)
    ]


def token_steps(
    decoder: BaseDecoder,
    contexts: Tensor | None,
    logits: Tensor,
    labels: Tensor,
    lengths: Tensor,
    forced: Tensor,
    predicted: Tensor | None = None,
) -> DecodedSteps:
    """Find characters and end tokens, by the label of a forced row, else by its prediction.

    Args:
        decoder: Its dictionary and loss are used.
        contexts: ``(N, T, D)``, see :class:`DecodedSteps`.
        logits: ``(N, T, K)``; step ``k`` predicts character ``k``.
        labels: ``(N, T)``, the tokens without the start token.
        lengths: ``(N,)``, see :func:`label_tokens`.
        forced: ``(N,)`` bool, rows that were fed their label.
        predicted: ``(N, T)``, the predicted classes; by default those with the highest logits.
    """
    predicted = logits.argmax(-1) if predicted is None else predicted
    position = torch.arange(logits.size(1), device=logits.device)
    before_end = position < lengths[:, None]
    # The padding may be end tokens, too. Only the first end token counts, unless it was cut off.
    is_end = (position == lengths[:, None]) & (position < decoder.max_seq_len - 1)
    supervised = before_end | (is_end & (labels == decoder.dictionary.end_idx))
    supervised = supervised & (labels != cross_entropy_of(decoder).ignore_index)
    is_character, supervised = (
        torch.where(forced[:, None], by_label, by_prediction)
        for by_label, by_prediction in zip(
            (before_end, supervised), predicted_characters(decoder, predicted)
        )
    )
    return DecodedSteps(contexts, logits, is_character, supervised, labels)


def predicted_characters(decoder: BaseDecoder, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Find the steps of a greedy prediction that are characters, and these and the end tokens.

    ``(N, T) -> (N, T), (N, T)`` bool, of the predicted classes.
    """
    dictionary = decoder.dictionary
    is_end = predicted == (-1 if dictionary.end_idx is None else dictionary.end_idx)
    ended = is_end.cumsum(1)
    characters = ended == 0
    for special in {dictionary.start_idx, dictionary.padding_idx} - {None, dictionary.end_idx}:
        characters = characters & (predicted != special)
    return characters, characters | (is_end & (ended == 1))
