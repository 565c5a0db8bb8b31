"""The computation that becomes an ONNX graph: from images of 8 bits to classes of characters."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.decoders.adapters.abinet import ParallelAdapter
from mmocr_da.models.decoders.adapters.character import CharacterAdapter
from mmocr_da.models.decoders.adapters.ctc import CTCAdapter
from mmocr_da.models.decoders.adapters.steps import StepAdapter
from mmocr_da.models.valid_ratio import RatioSamples, padded_columns

from .forms import encode
from .images import PixelStep, normalize


class RecognizerGraph(nn.Module):
    """A recognizer with greedy decoding, which can be traced for batches of any size.

    A decoder that is fed its predictions is unrolled: all its ``max_seq_len`` steps are computed,
    by the cached decoding of its adapter.

    Args:
        model: A plain recognizer of MMOCR, in evaluation mode.
        steps: What is done with the pixels before the data preprocessor of the model.

    Raises:
        ValueError: If its decoder cannot be traced.
    """

    def __init__(self, model: Any, steps: Sequence[PixelStep] = ()) -> None:
        super().__init__()
        check_decoder(model.decoder)
        self.model = model
        self.steps = steps

    def forward(self, images: Tensor, valid_ratio: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            images: ``(N, H, W, C)``, uint8, in BGR or grey.
            valid_ratio: ``(N,)``, double; the share of the width that is not padding, by default 1.

        Returns:
            The most probable class of each step or frame, ``(N, T)``, and its probability. Frames
            of CTC in the padding have the blank.
        """
        if valid_ratio is None:
            valid_ratio = torch.ones(images.size(0), dtype=torch.double)
        model, samples = self.model, RatioSamples(valid_ratio)
        # Contiguous, as MMOCR has it: its modules view what they compute in other shapes.
        pixels = images.permute(0, 3, 1, 2).contiguous()
        if self.steps:
            pixels, inside = pixels.double(), columns_of_text(valid_ratio, images.size(2))
        for step in self.steps:
            pixels = step(pixels, inside)
        feature_map = model.extract_feat(normalize(model.data_preprocessor, pixels.float()))
        sequence = encode(model.encoder, feature_map, samples) if model.with_encoder else None
        found, indices = decode(model.decoder, feature_map, sequence, samples).max(-1)
        if isinstance(adapter_of(model.decoder), CTCAdapter):
            padded = padded_columns(samples, indices.size(1), indices.device)
            indices = indices.masked_fill(padded, model.decoder.dictionary.padding_idx)
        return indices, found


def columns_of_text(valid_ratio: Tensor, width: int) -> Tensor:
    """Mark the columns that the test pipeline has not added, ``(N, 1, 1, W)``.

    >>> columns_of_text(torch.tensor([0.5, 0.0]), 4).flatten(1)
    tensor([[ True,  True, False, False],
            [ True, False, False, False]])
    """
    count = (valid_ratio * width).round().clamp(min=1)
    return (torch.arange(width) < count[:, None])[:, None, None]


def check_decoder(decoder: Any) -> None:
    """Raise a ValueError, which says why, if a decoder cannot be traced."""
    adapter = adapter_of(decoder)
    if isinstance(adapter, StepAdapter):
        why = '' if adapter.can_step() else adapter.obstacle()
    elif isinstance(adapter, (CTCAdapter, ParallelAdapter, CharacterAdapter)):
        known = adapter.known.__name__
        why = '' if adapter.is_known() else f'it changes methods of {known}'
    else:
        why = 'it has no adapter (mmocr_da.models.decoders.register_adapter) that decodes greedily'
    if why:
        raise ValueError(f'{adapter.name} cannot be exported to ONNX: {why}')


def decode(
    decoder: Any, feature_map: Tensor, sequence: Tensor | None, samples: RatioSamples
) -> Tensor:
    """Decode greedily, without an end before the last step: probabilities ``(N, T, K)``."""
    adapter = adapter_of(decoder)
    if isinstance(adapter, StepAdapter):
        logits = adapter.run(feature_map, sequence, samples, steps=decoder.max_seq_len)[1]
    elif isinstance(adapter, ParallelAdapter):
        logits = adapter.predict(feature_map, sequence, samples)
    else:
        logits = decoder.forward_train(feature_map, sequence)
    return logits.softmax(-1)
