"""Forms of MMOCR's and torch's modules that can be traced, for batches of any size."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from mmcv.cnn.bricks.transformer import BaseTransformerLayer
from mmocr.models.textrecog.decoders import ABILanguageDecoder
from mmocr.models.textrecog.encoders import NRTREncoder, SAREncoder, SATRNEncoder, SVTREncoder
from torch import Tensor, nn

from mmocr_da.models.decoders.adapters.adapter import overrides
from mmocr_da.models.valid_ratio import RatioSamples, padded_columns


def encode(encoder: nn.Module, feature_map: Tensor, samples: RatioSamples) -> Tensor:
    """Call an encoder; of those that look at data samples, a form without a loop over them."""
    for known, form in _FORMS.items():
        if isinstance(encoder, known) and not overrides(type(encoder), known):
            return form(encoder, feature_map, samples)
    try:
        output: Tensor = encoder(feature_map, samples)
    except TypeError as error:
        name = type(encoder).__name__
        raise ValueError(f'{name} cannot be exported to ONNX: {error}') from error
    return output


def _sar(encoder: Any, feature_map: Tensor, samples: RatioSamples) -> Tensor:
    """The output of the LSTM at the last column that is not padding."""
    hidden = encoder.rnn_encoder(feature_map.amax(2).transpose(1, 2))[0]
    last = hidden[:, -1]
    if encoder.mask:
        padded = padded_columns(samples, hidden.size(1), hidden.device)
        place = (~padded).sum(1) - 1
        last = hidden.gather(1, place[:, None, None].expand(-1, 1, hidden.size(2))).squeeze(1)
    output: Tensor = encoder.linear(last)
    return output


def _nrtr(encoder: Any, feature_map: Tensor, samples: RatioSamples) -> Tensor:
    output = feature_map.flatten(2).transpose(1, 2)
    visible = (~padded_columns(samples, output.size(1), output.device)).to(output)
    for layer in encoder.layer_stack:
        output = layer(output, visible)
    output = encoder.layer_norm(output)
    return output


def _satrn(encoder: Any, feature_map: Tensor, samples: RatioSamples) -> Tensor:
    feature_map = encoder.position_enc(feature_map)
    n, _, h, w = feature_map.size()
    output = feature_map.flatten(2).transpose(1, 2)
    columns = (~padded_columns(samples, w, output.device)).to(output)
    visible = columns[:, None].expand(n, h, w).flatten(1)
    for layer in encoder.layer_stack:
        output = layer(output, h, w, visible)
    output = encoder.layer_norm(output)
    return output


def _svtr(encoder: Any, feature_map: Tensor, samples: RatioSamples) -> Tensor:
    """With the pooling as a product, as ONNX has none to a number of columns."""
    height, width = encoder.input_shape
    features = encoder.forward_features(feature_map).transpose(1, 2)
    columns = features.reshape(-1, encoder.embed_dims[2], height // 4, width).mean(2)
    pooled = columns @ pooling_matrix(width, encoder.avgpool.output_size[1])
    output: Tensor = encoder.hardwish(encoder.last_conv(pooled.unsqueeze(2)))
    return output


def pooling_matrix(size: int, steps: int) -> Tensor:
    """The matrix by which torch's adaptive average pooling multiplies, ``(size, steps)``.

    >>> pooling_matrix(3, 2)
    tensor([[0.5000, 0.0000],
            [0.5000, 0.5000],
            [0.0000, 0.5000]])
    """
    matrix = np.zeros((size, steps), np.float32)  # a constant of a trace
    for step in range(steps):
        first, end = step * size // steps, -(-(step + 1) * size // steps)
        matrix[first:end, step] = 1 / (end - first)
    return torch.from_numpy(matrix)


#: What these encoders compute in testing.
_FORMS: dict[type[nn.Module], Callable[[Any, Tensor, RatioSamples], Tensor]] = {
    SAREncoder: _sar,
    NRTREncoder: _nrtr,
    SATRNEncoder: _satrn,
    SVTREncoder: _svtr,
}


@contextmanager
def traceable(model: nn.Module) -> Iterator[None]:
    """Let modules compute the same by operators that ONNX has; restored at the end.

    Recurrent cells are layers of one step. The language model of ABINet finds the end of its texts
    without a sum of booleans, and its layers do not copy masks.
    """
    changed: list[tuple[nn.Module, str]] = []
    try:
        for module in model.modules():
            for kind, (method, form) in _METHODS.items():
                if isinstance(module, kind):
                    changed.append((module, method))
                    setattr(module, method, partial(form, module))
        yield
    finally:
        for module, method in changed:
            delattr(module, method)


def _text_lengths(decoder: Any, logits: Tensor, dim: int = -1) -> Tensor:
    """The number of steps of each text with its end, ``(N, T, K) -> (N)``; T without an end."""
    steps = torch.arange(logits.size(1)) + 1
    is_end = logits.argmax(-1) == decoder.dictionary.end_idx
    return torch.where(is_end, steps, logits.size(1)).amin(dim)


def _with_listed_masks(layer: Any, *args: Any, attn_masks: Any = None, **kwargs: Any) -> Tensor:
    """A layer of MMCV, which else copies a single mask in a way that a trace does not see."""
    if isinstance(attn_masks, Tensor):
        attn_masks = [attn_masks] * layer.num_attn
    output: Tensor = type(layer).forward(layer, *args, attn_masks=attn_masks, **kwargs)
    return output


def _layer_of_one_step(cell: nn.RNNCellBase, fed: Tensor, state: Any = None) -> Any:
    """What an LSTM or GRU cell computes, ``(N, D)`` to the next state."""
    weights: list[Tensor] = list(cell.parameters())
    options = cell.bias, 1, 0.0, False, False, False  # one layer, no dropout, forwards
    zeros = fed.new_zeros(fed.size(0), cell.hidden_size)
    if isinstance(cell, nn.LSTMCell):
        pair = [x[None] for x in ((zeros, zeros) if state is None else state)]
        _, *new = torch.lstm(fed[None], pair, weights, *options)
        return tuple(x[0] for x in new)
    hidden: Tensor = zeros if state is None else state
    return torch.gru(fed[None], hidden[None], weights, *options)[1][0]


#: By the class of a module, one of its methods, and the function that replaces it.
_METHODS: dict[type[nn.Module], tuple[str, Callable[..., Any]]] = {
    nn.LSTMCell: ('forward', _layer_of_one_step),
    nn.GRUCell: ('forward', _layer_of_one_step),
    ABILanguageDecoder: ('_get_length', _text_lengths),
    BaseTransformerLayer: ('forward', _with_listed_masks),
}
