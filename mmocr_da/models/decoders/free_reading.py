"""What a decoder reads by itself, with gradients: no label steers it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.structures import LabelData
from mmocr.models.textrecog.decoders import ABIFuser, ABIVisionDecoder, ASTERDecoder
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.models.textrecog.module_losses import CTCModuleLoss
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.compat import no_grad

from .attention_decoder import AttentionDecoder
from .character_features import read_steps


@dataclass
class FreeReading:
    """A free reading of ``N`` images, and what is written there.

    Shape: ``logits (N, T, K)``, step by step, also behind the end of the text; ``texts``: ``N``
    tensors of class indexes, without start and end token.
    """

    logits: Tensor
    texts: list[Tensor]

    @property
    def probabilities(self) -> Tensor:
        """``(N, T, K)``, in float32 at least."""
        return self.logits.softmax(-1, torch.promote_types(self.logits.dtype, torch.float32))


def check_readable(decoder: BaseDecoder, asking: str) -> None:
    """Refuse a decoder that has no step per character."""
    kind = type(decoder).__name__
    if isinstance(decoder.module_loss, CTCModuleLoss):
        raise ValueError(
            f'{asking} needs one step per character, got {kind} with CTCModuleLoss: its frames are '
            'not characters, and a change of one frame is no edit; use a recognizer with attention '
            'or parallel decoding (ASTER, SAR, NRTR, SATRN, MASTER, RobustScanner, ABINet), or '
            'remove the objective'
        )
    if decoder.dictionary.end_idx is None:
        raise ValueError(
            f'{asking} needs an end token to know where a text ends, got {kind} with '
            'a dictionary without one; set with_end=True in the dictionary'
        )


def read_freely(
    decoder: BaseDecoder,
    feature_map: Tensor,
    sequence: Tensor,
    samples: Sequence[TextRecogDataSample],
) -> Tensor:
    """Logits ``(N, T, K)`` of the greedy reading, the one of testing.

    A recurrent decoder runs once, and stops when all readings have ended. Other decoders that read
    one character after the other run twice: MMOCR's greedy search cannot be differentiated, so
    its reading is put in the place of the label of a second, parallel pass, which has the same
    logits. (With dropout the two passes may differ, as any two do.) Without gradients, one is
    enough. RobustScanner has gradients in training mode alone.
    """
    if isinstance(decoder, (ABIFuser, ABIVisionDecoder)):
        out = decoder.forward_train(feature_map, sequence, samples)
        if isinstance(decoder, ABIFuser):
            out = out['out_fusers'][-1] if out['out_fusers'] else out['out_vis']
        return out['logits']
    if isinstance(decoder, (AttentionDecoder, ASTERDecoder)):
        count, device = len(samples), feature_map.device
        start = torch.full((count, decoder.max_seq_len), decoder.start_idx, device=device)
        forced = torch.zeros(count, dtype=torch.bool, device=device)
        labels = [len(s.gt_text.get('indexes', ())) for s in samples if 'gt_text' in s]
        return read_steps(
            decoder,
            feature_map,
            sequence,
            start,
            forced,
            steps=0,
            expected=max(labels, default=0) + 1,
        )[1]
    with no_grad():
        probabilities = decoder.forward_test(feature_map, sequence, samples)
    if not torch.is_grad_enabled():
        return probabilities.log()
    tokens = probabilities.argmax(-1)
    tokens = torch.cat(
        [torch.full_like(tokens[:, :1], decoder.dictionary.start_idx), tokens[:, :-1]], 1
    )
    read = [
        TextRecogDataSample(
            gt_text=LabelData(padded_indexes=row),
            metainfo=dict(valid_ratio=sample.get('valid_ratio', 1.0)),
        )
        for row, sample in zip(tokens, samples)
    ]
    return decoder.forward_train(feature_map, sequence, read)
