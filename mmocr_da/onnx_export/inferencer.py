"""Predicts texts with an ONNX file of this package; needs numpy, opencv-python and onnxruntime.

It imports nothing of the package, so that the file can be copied to where there is no PyTorch.
"""

import json
import math
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)

#: By MMCV's name of how an image is loaded, that of OpenCV.
COLORS = dict(grayscale=cv2.IMREAD_GRAYSCALE, color=cv2.IMREAD_COLOR)

Image = npt.NDArray[np.uint8]


class Prediction(NamedTuple):
    """The text of an image.

    Attributes:
        text: What is read; may be empty.
        score: Mean of ``scores``, as MMOCR's inferencer gives it; 0 without a character.
        scores: Probability of each character.
    """

    text: str
    score: float
    scores: list[float]


class OnnxInferencer:
    """Predicts the texts of word images with an exported recognizer.

    Args:
        model: The ``.onnx`` file, or its bytes.
        batch_size: Most images that are computed together. Only images of one size are.
        threads: Threads of onnxruntime; None for its default, all cores.
        providers: Where to compute, such as ``['CUDAExecutionProvider']``; by default on the CPU.

    Raises:
        ValueError: If the file is not one of ``tools/export_onnx.py``.
    """

    def __init__(
        self,
        model: str | bytes,
        batch_size: int = 64,
        threads: int | None = None,
        providers: Sequence[str] = ('CPUExecutionProvider',),
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model, options, providers=list(providers))
        properties = self.session.get_modelmeta().custom_metadata_map
        if 'image' not in properties or 'characters' not in properties:
            raise ValueError(
                'model must be a file of tools/export_onnx.py, got one whose metadata have no '
                'image and characters; export the recognizer again'
            )
        self.metadata = {key: json.loads(value) for key, value in properties.items()}
        self.needs_ratio = any(x.name == 'valid_ratio' for x in self.session.get_inputs())
        self.batch_size = batch_size

    def __call__(self, images: Iterable[str | os.PathLike[str] | Image]) -> list[Prediction]:
        """Predict texts.

        Args:
            images: Paths of files, or arrays of 8 bits: BGR ``(H, W, 3)`` as OpenCV loads them, or
                grey ``(H, W)``.

        Returns:
            A prediction for each image.

        Raises:
            ValueError: If something is no image, or if a single one is given without a list.
        """
        if isinstance(images, (str, os.PathLike, np.ndarray)) and np.ndim(images) != 4:
            raise ValueError('images must be a list, got a single image: put it into a list')
        found: dict[int, Prediction] = {}
        waiting: dict[tuple[int, ...], list[tuple[int, Image, float]]] = {}
        for i, image in enumerate(images):
            pixels, ratio = self.prepare(image)
            batch = waiting.setdefault(pixels.shape, [])
            batch.append((i, pixels, ratio))
            if len(batch) == self.batch_size:
                found.update(self._predict(waiting.pop(pixels.shape)))
        for batch in waiting.values():
            found.update(self._predict(batch))
        return [found[i] for i in range(len(found))]

    def prepare(self, image: str | os.PathLike[str] | Image) -> tuple[Image, float]:
        """Load, resize and pad an image as the test pipeline of the config does.

        Returns:
            An image for the input of the graph, ``(H, W, C)``, and the share of its width that is
            not padding.
        """
        settings = self.metadata['image']
        pixels = _loaded(image, settings['color'])
        height = settings['height']
        width = settings['width'] or _width(pixels.shape, height, **settings['rescale'])
        how = INTERPOLATIONS[settings['interpolation']]
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
        ratio = 1.0
        if settings['padded_width'] is not None:
            wanted = max(width, settings['padded_width'])
            ratio = min(1.0, width / settings['padded_width'])
            pixels = np.asarray(
                cv2.copyMakeBorder(
                    pixels,
                    *(0, 0, 0, wanted - width),
                    cv2.BORDER_CONSTANT,
                    value=[settings['padding']] * 3,
                ),
                np.uint8,
            )
        return pixels.reshape(height, -1, 1 if settings['color'] == 'gray' else 3), ratio

    def decode(self, indices: Sequence[int], probabilities: Sequence[float]) -> Prediction:
        """Turn the classes of the steps of an image and their probabilities into its text."""
        characters, scores = [], []
        previous = self.metadata.get('blank')
        for index, probability in zip(indices, probabilities):
            ignored = index in self.metadata['ignored']
            if self.metadata['decoding'] == 'ctc':
                ignored, previous = ignored or index == previous, index
            elif index == self.metadata['end'] and not ignored:
                break
            if not ignored:
                characters.append(self.metadata['characters'][index])
                scores.append(float(probability))
        score = sum(scores) / len(scores) if scores else 0.0
        return Prediction(''.join(characters), score, scores)

    def _predict(self, batch: Sequence[tuple[int, Image, float]]) -> dict[int, Prediction]:
        places, images, ratios = zip(*batch)
        inputs: dict[str, Any] = dict(images=np.stack(images))
        if self.needs_ratio:
            inputs['valid_ratio'] = np.array(ratios, np.float64)
        found = self.session.run(['indices', 'probabilities'], inputs)
        return {i: self.decode(*steps) for i, *steps in zip(places, *(x.tolist() for x in found))}


def _loaded(image: str | os.PathLike[str] | Image, color: str) -> Image:
    """An image as BGR ``(H, W, 3)`` or grey ``(H, W)``."""
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        loaded = cv2.imread(path, COLORS['grayscale' if color == 'gray' else 'color'])
        if loaded is None:
            raise ValueError(f'images must be image files, got {path!r}, which cannot be read')
        if not path.lower().endswith(('.jpg', '.jpeg', '.bmp')):
            _check_plain(path)
        return np.asarray(loaded, np.uint8)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            'images must be paths, or arrays of uint8 (H, W, 3) or (H, W), '
            f'got {image.dtype} {image.shape}'
        )
    if color == 'gray':
        image = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]  # OpenCV's own types
    elif image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]  # the same
    return image


def _check_plain(path: str) -> None:
    """Warn of an image that OpenCV may load as black."""
    whole = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    transparent = whole is not None and whole.ndim == 3 and whole.shape[2] == 4
    if transparent and np.ptp(np.asarray(whole)[..., 3]) > 0:
        found = 'is transparent'
    elif whole is not None and whole.dtype != np.uint8:
        found = f'has values of {whole.dtype}'
    else:
        return
    warnings.warn(
        f'{path} {found}, and may be loaded as black: convert it to an image of 8 bits without '
        'transparency',
        stacklevel=2,
    )


def _width(
    shape: Sequence[int],
    height: int,
    min_width: int | None,
    max_width: int | None,
    width_divisor: int,
) -> int:
    """The width of an image that is resized to ``height``, as of MMOCR's ``RescaleToHeight``."""
    width = math.ceil(height / shape[0] * shape[1])
    width = width if min_width is None else max(min_width, width)
    width = width if max_width is None else min(max_width, width)
    return round(width / width_divisor) * width_divisor
