"""Keeps what a prediction is made of: the probabilities of its characters, its feature."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.models.textrecog.postprocessors import CTCPostProcessor
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from ..valid_ratio import mean_over_valid, valid_ratios, valid_steps
from .adapters import adapter_of
from .adapters.recording import recorded


@contextmanager
def keeping_details(model: nn.Module) -> Iterator[None]:
    """Let all decoders of a model keep details of each prediction, within the block.

    A data sample that is predicted then has, on the CPU and in float32:

    * ``pred_text.probabilities``, ``(M, K)``: the row of probabilities of each of the M predicted
      characters, see :func:`predicted_steps`. So there are none of padding and end tokens.
    * ``pred_text.confidence``, a float: the probability of the predicted text, see
      :meth:`~mmocr_da.models.decoders.DecoderAdapter.word_confidences`.
    * ``feature``, ``(D,)``: what the decoder gets, the output of the encoder or, without one, of
      the backbone, as its mean over the positions of the image that are not padding.

    Predictions stay as they are. It works for every decoder of MMOCR, also within a teacher: what
    is replaced is ``predict`` of the decoder.
    """
    decoders = [module for module in model.modules() if isinstance(module, BaseDecoder)]
    for decoder in decoders:
        setattr(decoder, 'predict', partial(_predict, decoder))
    try:
        yield
    finally:
        for decoder in decoders:
            delattr(decoder, 'predict')


def predicted_steps(decoder: BaseDecoder, probabilities: Tensor, valid_ratio: Tensor) -> Tensor:
    """Find the steps whose classes are the characters of the predicted texts, ``(N, T)`` bool.

    They are those that MMOCR's postprocessors take: of attention and parallel decoding, the steps
    before the first end token that are no padding. Of CTC, one frame for each character: where the
    best path stays in a class for several frames, the one with the highest probability (MMOCR
    takes the first one).

    Args:
        decoder: A decoder with its postprocessor.
        probabilities: ``(N, T, K)``, the output of the decoder in testing.
        valid_ratio: ``(N,)`` on the CPU, see :mod:`mmocr_da.models.valid_ratio`.
    """
    highest, classes = probabilities.max(-1)
    ignored = classes.new_tensor(decoder.postprocessor.ignore_indexes)
    is_ignored = torch.isin(classes, ignored)
    if isinstance(decoder.postprocessor, CTCPostProcessor):
        is_valid = valid_steps(valid_ratio, classes.size(1)).to(classes.device)
        return _most_certain(highest * is_valid, classes) & is_valid & ~is_ignored
    end = decoder.dictionary.end_idx
    is_end = (classes == (-1 if end is None else end)) & ~is_ignored
    return (is_end.cumsum(1) == 0) & ~is_ignored


def _most_certain(highest: Tensor, classes: Tensor) -> Tensor:
    """Mark the most certain frame of each run of equal classes, the first of equals, ``(N, T)``."""
    steps = classes.size(1)
    run = torch.zeros_like(classes)
    run[:, 1:] = (classes[:, 1:] != classes[:, :-1]).cumsum(1)
    most = torch.zeros_like(highest).scatter_reduce(1, run, highest, 'amax')
    time = torch.arange(steps, device=classes.device).expand_as(classes)
    time = time.masked_fill(highest < most.gather(1, run), steps)
    first = torch.full_like(classes, steps).scatter_reduce(1, run, time, 'amin')
    # There are at most as many runs as steps; what is left over marks a column that is cut off.
    marks = torch.zeros(len(classes), steps + 1, dtype=torch.bool, device=classes.device)
    return marks.scatter(1, first, True)[:, :steps]


def _predict(
    decoder: BaseDecoder,
    feature_map: Tensor | None = None,
    sequence: Tensor | None = None,
    data_samples: Sequence[TextRecogDataSample] | None = None,
) -> Sequence[TextRecogDataSample]:
    """Predict as the class of the decoder does, and add the details to the data samples."""
    with recorded(decoder, lambda _, output: output) as outputs:
        samples = type(decoder).predict(decoder, feature_map, sequence, data_samples)
    probabilities, ratio = outputs[-1], valid_ratios(samples)
    steps = predicted_steps(decoder, probabilities, ratio)
    confidences = adapter_of(decoder).word_confidences(probabilities, ratio).tolist()
    counts = steps.sum(1).tolist()
    rows = probabilities[steps].detach().float().cpu().split(counts)
    features = _features(feature_map, sequence, ratio)
    for i, sample in enumerate(samples):
        # Clones: a part of a tensor would keep the whole one in memory.
        sample.pred_text.probabilities = rows[i].clone()
        sample.pred_text.confidence = confidences[i]
        if features is not None:
            sample.set_data(dict(feature=features[i].clone()))
    return samples


def _features(
    feature_map: Tensor | None, sequence: Tensor | None, valid_ratio: Tensor
) -> Tensor | None:
    """Mean over the valid positions of the decoder's input, ``(N, D)``."""
    x = feature_map if sequence is None else sequence
    if x is None:
        return None
    x = x.detach().float()
    if x.dim() == 2:
        return x.cpu()
    # A sequence with a step for each column has padding where the map has it.
    width = x.size(-1) if feature_map is None else feature_map.size(-1)
    if x.dim() == 3:  # (N, T, D)
        x = x.transpose(1, 2)[:, :, None]
    if x.size(-1) != width:
        return x.mean((2, 3)).cpu()
    return mean_over_valid(x, valid_ratio).cpu()
