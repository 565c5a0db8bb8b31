"""Writes a recognizer as an ONNX file that predicts the same, with all that a caller must know."""

import io
import json
import warnings
from importlib import import_module
from os import PathLike
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmocr.models.textrecog.postprocessors import AttentionPostprocessor, CTCPostProcessor
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer

from mmocr_da.config_names import find_config
from mmocr_da.export import load_plain, plain_config
from mmocr_da.outputs import check_outputs, output_file

from .forms import traceable
from .graph import RecognizerGraph
from .images import PixelStep, check_preprocessor, read_pipeline
from .verification import largest_difference

#: Version of ONNX's operators; the first with LayerNormalization.
OPSET = 17
#: Version of the metadata.
FORMAT = 1
BY = 'tools/export_onnx.py'


class OnnxExport(NamedTuple):
    """What was written.

    Attributes:
        path: The file.
        difference: The largest difference of a character's probability from that of the model, on
            the images of the verification.
        metadata: What the file says about itself.
    """

    path: str
    difference: float
    metadata: dict[str, Any]


def export_onnx(
    config: str | Config, checkpoint: str, out: str | PathLike[str], raw: bool = False
) -> OnnxExport:
    """Write a recognizer as an ONNX file with greedy decoding, and verify it.

    An adaptive recognizer is made plain before. The file takes images of 8 bits, as they are after
    the resizing and padding of the test pipeline, and gives the class of each step and its
    probability; see :class:`~mmocr_da.onnx_export.OnnxInferencer` for the rest. If anything fails,
    nothing is written.

    Args:
        config: Config of a plain or adaptive recognizer, or its file or name.
        checkpoint: Its checkpoint.
        out: The file, ``*.onnx``; an earlier export is replaced.
        raw: With ``EMAHook``, export the trained weights instead of their moving average.

    Raises:
        ImportError: If onnx or onnxruntime is not installed.
        ValueError: If the recognizer, or its test pipeline, cannot be exported.
        RuntimeError: If the file predicts something else than the recognizer.
    """
    check_installed()
    cfg = Config.fromfile(find_config(config)[0]) if isinstance(config, str) else config
    inputs = [path for path in (cfg.filename, checkpoint) if path]
    check_outputs([out], BY, inputs)
    model = load_plain(cfg, checkpoint, raw=raw)
    if not isinstance(model, EncoderDecoderRecognizer):
        raise ValueError(
            'an ONNX export needs a text recognizer with a decoder, got a model of type '
            f'{cfg.model.type}'
        )
    plain = plain_config(cfg)
    metadata, steps = describe(model, plain)
    data = trace(model, steps, metadata)
    difference = largest_difference(model, plain, data)
    with output_file(out, BY, inputs) as path:
        path.write_bytes(data)
    return OnnxExport(str(out), difference, metadata)


def check_installed() -> None:
    """Raise an ImportError, which says what to do, if onnx or onnxruntime is not installed."""
    for name in ('onnx', 'onnxruntime'):
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError(
                f'an ONNX export needs onnx and onnxruntime, and there is no {name}: '
                "pip install 'mmocr_da[onnx]', or pip install onnx onnxruntime"
            ) from error


def describe(
    model: EncoderDecoderRecognizer, cfg: Config
) -> tuple[dict[str, Any], list[PixelStep]]:
    """Return the metadata of the file of a plain recognizer, and what its graph does with pixels.

    Raises:
        ValueError: If its preprocessing or postprocessing cannot be exported.
    """
    check_preprocessor(model.data_preprocessor)
    settings, steps = read_pipeline(cfg)
    return dict(format=FORMAT, **_decoding(model.decoder), image=settings), steps


def trace(
    model: EncoderDecoderRecognizer, steps: list[PixelStep], metadata: dict[str, Any]
) -> bytes:
    """Return the bytes of the ONNX file of a plain recognizer in evaluation mode.

    Args:
        model: The recognizer, on the CPU.
        steps: What the graph does with pixels.
        metadata: See :func:`describe`.
    """
    import onnx

    settings = metadata['image']
    width, is_open = _input_width(settings)
    channels = 1 if settings['color'] == 'gray' else 3
    images = torch.randint(0, 256, (2, settings['height'], width, channels), dtype=torch.uint8)
    is_padded = settings['padded_width'] is not None
    inputs = [images, torch.tensor([1.0, 0.5]).double()][: 1 + is_padded]
    graph = RecognizerGraph(model, steps).eval()
    buffer = io.BytesIO()
    with torch.no_grad(), traceable(graph), warnings.catch_warnings():
        # Of each size that becomes a number, and of this exporter, which needs no further package.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph,
            tuple(inputs),
            buffer,  # type: ignore[arg-type]  # declared as a path, written to in any case
            dynamo=False,
            opset_version=OPSET,
            input_names=['images', 'valid_ratio'][: 1 + is_padded],
            output_names=['indices', 'probabilities'],
            dynamic_axes=dict(
                images={0: 'batch', **({2: 'width'} if is_open else {})},
                indices={0: 'batch', **({1: 'steps'} if is_open else {})},
                probabilities={0: 'batch', **({1: 'steps'} if is_open else {})},
                **(dict(valid_ratio={0: 'batch'}) if is_padded else {}),
            ),
        )
    found = onnx.load_model_from_string(buffer.getvalue())
    _drop_unused_inputs(found.graph)
    onnx.helper.set_model_props(
        found, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
    )
    onnx.checker.check_model(found)
    data: bytes = found.SerializeToString()
    return data


def _decoding(decoder: Any) -> dict[str, Any]:
    """How texts are made of classes, for the metadata."""
    postprocessor = decoder.postprocessor
    kinds = {AttentionPostprocessor: 'sequence', CTCPostProcessor: 'ctc'}
    if type(postprocessor) not in kinds:
        raise ValueError(
            'an ONNX export needs a postprocessor of type AttentionPostprocessor or '
            f'CTCPostProcessor, got {type(postprocessor).__name__}'
        )
    dictionary, kind = postprocessor.dictionary, kinds[type(postprocessor)]
    is_ctc = kind == 'ctc'
    return dict(
        decoding=kind,
        characters=dictionary.dict,
        blank=dictionary.padding_idx if is_ctc else None,
        end=None if is_ctc else dictionary.end_idx,
        ignored=postprocessor.ignore_indexes,
        max_length=None if is_ctc else decoder.max_seq_len,
    )


def _input_width(settings: dict[str, Any]) -> tuple[int, bool]:
    """A width of images, and whether others are possible, too."""
    rescale, padded = settings['rescale'], settings['padded_width']
    if rescale is None:
        return max(settings['width'], padded or 0), False
    highest = rescale['max_width']
    if padded is not None and highest is not None and highest <= padded:
        return padded, False
    divisor = rescale['width_divisor']
    width = padded or min(4 * settings['height'], highest or 4 * settings['height'])
    return -(-width // divisor) * divisor, True


def _drop_unused_inputs(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input}
    for value in [value for value in graph.input if value.name not in used]:
        graph.input.remove(value)
