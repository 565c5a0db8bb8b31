"""Compares the predictions of an ONNX file with those of its recognizer."""

import string
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer

from mmocr_da.engine.inference import inference_pipeline, predict

from .inferencer import Image, OnnxInferencer

#: Highest difference of probabilities. Rounding errors grow where a recognizer rectifies the image.
TOLERANCE = 1e-3


def largest_difference(model: EncoderDecoderRecognizer, cfg: Config, data: bytes) -> float:
    """Return the largest difference between the probabilities of predicted characters.

    Both read the same images, the file one alone and several at a time.

    Args:
        model: A plain recognizer in evaluation mode.
        cfg: Its config, with the test pipeline.
        data: The ONNX file.

    Raises:
        RuntimeError: If a text differs, or a probability by more than :data:`TOLERANCE`.
    """
    inferencer = OnnxInferencer(data, batch_size=3, threads=1)
    metadata = inferencer.metadata
    images = example_images(metadata['characters'], metadata['image']['color'])
    found = [*inferencer(images), *inferencer(images[:1])]
    items: list[Any] = [*images, images[0]]
    wanted = [sample.pred_text for sample in predict(model, inference_pipeline(cfg), items)]
    differences = [0.0]
    for ours, theirs in zip(found, wanted):
        if ours.text != theirs.item:
            raise RuntimeError(
                f'the graph predicts {ours.text!r} for an image where the recognizer predicts '
                f'{theirs.item!r}, so nothing was written: a part of the model computes something '
                'that a graph cannot, such as a decision in Python'
            )
        differences += [abs(a - b) for a, b in zip(ours.scores, theirs.score)]
    difference = float(np.max(differences))  # NaN if one is
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f'probabilities of the graph must be those of the recognizer up to {TOLERANCE}, got a '
            f'difference of {difference:.2g}, so nothing was written'
        )
    return difference


def example_images(
    characters: list[str], color: str = 'bgr', num: int = 9, seed: int = 0
) -> list[Image]:
    """Draw images ``(H, W, 3)`` of different sizes: random words, and every third one noise.

    Args:
        characters: Of those, the words have letters, digits and punctuation of ASCII.
        color: ``'gray'`` for three equal channels: where MMOCR's loader of arrays makes grey, it
            takes BGR for RGB.
    """
    rng = np.random.default_rng(seed)
    known = [c for c in characters if len(c) == 1 and c in string.printable and not c.isspace()]
    channels = 1 if color == 'gray' else 3
    images = [
        _noise(rng, channels) if i % 3 == 2 or not known else _word(rng, channels, known)
        for i in range(num)
    ]
    return [np.ascontiguousarray(np.broadcast_to(x, (*x.shape[:2], 3))) for x in images]


def _noise(rng: np.random.Generator, channels: int) -> Image:
    shape = int(rng.integers(24, 48)), int(rng.integers(40, 160)), channels
    return rng.integers(0, 256, shape).astype(np.uint8)


def _word(rng: np.random.Generator, channels: int, characters: list[str]) -> Image:
    word = ''.join(rng.choice(characters, int(rng.integers(2, 9))))
    image = np.empty((32, 18 * len(word) + 10, channels), np.uint8)
    image[:] = rng.integers(150, 256, channels)
    ink = rng.integers(0, 100, channels).tolist()
    cv2.putText(image, word, (5, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 2)
    return image
