"""What happens to an image before the model: what a caller does, and what the graph computes."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmocr.datasets.transforms import (
    ConditionApply,
    InferencerLoader,
    LoadOCRAnnotations,
    PackTextRecogInputs,
    PadToWidth,
    RescaleToHeight,
    Resize,
)
from mmocr.models.textrecog.data_preprocessors import TextRecogDataPreprocessor
from torch import Tensor

from mmocr_da.config_names import CONFIGS
from mmocr_da.engine.inference import inference_pipeline, test_pipelines

from .inferencer import COLORS, INTERPOLATIONS

#: Changes pixels ``(N, C, H, W)``, double, of which the columns of a mask ``(N, 1, 1, W)`` are not
#: padding.
PixelStep = Callable[[Tensor, Tensor], Tensor]


def read_pipeline(cfg: Config) -> tuple[dict[str, Any], list[PixelStep]]:
    """Read from the test pipeline of a config how images are prepared.

    Returns:
        What a caller of the graph does, for its metadata, and what the graph does after that. The
        first has ``color`` (``'bgr'`` or ``'gray'``), ``height``, ``width`` and ``interpolation``.
        A width of None depends on the image, by ``rescale``. ``padded_width`` is None without
        padding, whose value is ``padding``.

    Raises:
        ValueError: If the pipeline has a step that neither of them can do.
    """
    settings: dict[str, Any] = {}
    steps: list[PixelStep] = []
    first, *others = test_pipelines(cfg)
    if any(other != first for other in others):
        raise ValueError(
            'an ONNX export needs one test pipeline, got test datasets with different ones: set '
            'test_dataloader.dataset.pipeline, or leave one dataset in test_dataloader'
        )
    for transform in inference_pipeline(cfg).transforms:
        if isinstance(transform, (LoadOCRAnnotations, PackTextRecogInputs)):
            continue
        if (step := _pixel_step(transform)) is not None:
            steps.append(step)
            continue
        found = _settings(transform)
        # In this order alone a caller can do it all before the graph.
        if not found or steps or 'padded_width' in settings or found.keys() & settings.keys():
            raise ValueError(
                'an ONNX export needs a test pipeline that loads an image, resizes it without '
                'keeping its ratio or to a height, pads it to a width and standardizes it, in this '
                f'order, got the step {transform}'
            )
        settings.update(found)
    if not {'color', 'height'} <= settings.keys():
        raise ValueError(
            'an ONNX export needs a test pipeline with LoadImageFromFile, and with Resize or '
            f'RescaleToHeight, got only the settings {settings}'
        )
    return dict(dict(padded_width=None, padding=0), **settings), steps


def _settings(transform: Any) -> dict[str, Any] | None:
    """What a step contributes to the settings; None for one that a caller cannot do."""
    read = _READERS.get(type(transform))
    return None if read is None else read(transform)


def _loading(transform: InferencerLoader) -> dict[str, Any] | None:
    loader = transform.from_file
    if loader.to_float32 or loader.imdecode_backend != 'cv2' or loader.color_type not in COLORS:
        return None
    return dict(color='gray' if loader.color_type == 'grayscale' else 'bgr')


def _resizing(resize: Resize) -> dict[str, Any] | None:
    if not resize.scale:  # by a factor
        return None
    width, height = resize.scale
    return _interpolated(resize, height=height, width=width, rescale=None)


def _rescaling(transform: RescaleToHeight) -> dict[str, Any] | None:
    names = 'min_width', 'max_width', 'width_divisor'
    rescale = {name: getattr(transform, name) for name in names}
    return _interpolated(transform.resize, height=transform.height, width=None, rescale=rescale)


def _interpolated(resize: Resize, **settings: Any) -> dict[str, Any] | None:
    if resize.keep_ratio or resize.backend != 'cv2' or resize.interpolation not in INTERPOLATIONS:
        return None
    return dict(settings, interpolation=resize.interpolation)


def _padding(transform: PadToWidth) -> dict[str, Any] | None:
    value = transform.pad.pad_val.get('img', 0)
    if transform.pad.padding_mode != 'constant' or type(value) is not int:
        return None
    return dict(padded_width=transform.width, padding=value)


#: By the class of a step of the pipeline, what reads it.
_READERS: dict[type, Callable[[Any], dict[str, Any] | None]] = {
    InferencerLoader: _loading,
    Resize: _resizing,
    RescaleToHeight: _rescaling,
    PadToWidth: _padding,
}


def _pixel_step(transform: Any) -> PixelStep | None:
    """The step that the graph does, if it is one of ``_base_/standardized.py``."""
    if type(transform) is not ConditionApply:
        return None
    ours = Config.fromfile(str(CONFIGS / '_base_' / 'standardized.py'))
    steps = dict(standardize=standardize, dark_on_bright=dark_on_bright)
    others = transform.true_transforms.transforms, transform.false_transforms.transforms
    for name, step in steps.items():
        if transform.condition == ours[name].condition and not any(others):
            return step
    return None


def standardize(pixels: Tensor, inside: Tensor) -> Tensor:
    """Give each image the same mean and deviation: ``standardize`` of ``_base_/standardized.py``.

    >>> x = torch.tensor([[[[0.0, 200.0, 7.0]]]], dtype=torch.double)
    >>> standardize(x, torch.tensor([[[[True, True, False]]]]))
    tensor([[[[ 63.5000, 191.5000, 127.5000]]]], dtype=torch.float64)
    """
    count = inside.sum(3, keepdim=True) * (pixels.size(1) * pixels.size(2))
    counted = pixels * inside
    mean = counted.sum((1, 2, 3), keepdim=True) / count
    variance = (counted * counted).sum((1, 2, 3), keepdim=True) / count - mean * mean
    scaled = 127.5 + 64 * (pixels - mean) / variance.clamp(min=1).sqrt()
    return torch.where(inside, scaled, torch.full_like(scaled, 127.5))


def dark_on_bright(pixels: Tensor, inside: Tensor) -> Tensor:
    """Invert images whose text is bright: ``dark_on_bright`` of ``_base_/standardized.py``.

    >>> x = torch.tensor([[[[100.0, 110.0, 255.0]]]], dtype=torch.double)
    >>> dark_on_bright(x, torch.ones_like(x, dtype=torch.bool))
    tensor([[[[155., 145.,   0.]]]], dtype=torch.float64)
    """
    is_bright = ((pixels - 127.5) ** 3).sum((1, 2, 3), keepdim=True) > 0
    return torch.where(is_bright, 255 - pixels, pixels)


def check_preprocessor(preprocessor: Any) -> None:
    """Raise a ValueError if the graph does not do what a data preprocessor does in testing."""
    if type(preprocessor) is not TextRecogDataPreprocessor or preprocessor.pad_size_divisor != 1:
        raise ValueError(
            'an ONNX export needs a data_preprocessor of type TextRecogDataPreprocessor with '
            f'pad_size_divisor=1, got {type(preprocessor).__name__} with '
            f'{getattr(preprocessor, "pad_size_divisor", None)}'
        )


def normalize(preprocessor: TextRecogDataPreprocessor, pixels: Tensor) -> Tensor:
    """What :func:`check_preprocessor` accepts does with a batch of images of one size."""
    if preprocessor._channel_conversion:
        pixels = pixels.flip(1)
    if preprocessor._enable_normalize:
        pixels = (pixels - preprocessor.mean) / preprocessor.std
    return pixels
