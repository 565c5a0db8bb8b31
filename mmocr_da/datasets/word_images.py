"""Draws an image of a word: whole, in one font, on a background that it stands out from."""

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .image_loading import load_image

#: Weights of red, green and blue in the grey value of a pixel, as OpenCV has them.
GREY = np.array([0.299, 0.587, 0.114], np.float32)

Font = ImageFont.FreeTypeFont
Array = NDArray[Any]


class Style(NamedTuple):
    """What an image may look like.

    Args:
        sizes: Smallest and largest size of the font, in pixels per em.
        min_contrast: Least difference of grey values, of 255, between the text and every pixel of
            the background.
        cropped: Share of images that cut up to a sixth of the text's height off at a side.
        backgrounds: Image files; half of the images have a part of one as background.
    """

    sizes: tuple[int, int] = (14, 48)
    min_contrast: int = 50
    cropped: float = 0.1
    backgrounds: Sequence[str] = ()


@lru_cache(256)  # each keeps its file open
def load_font(path: str, size: int) -> Font:
    """Load a font; its layout has kerning, and with libraqm ligatures and complex scripts."""
    return ImageFont.truetype(path, size)


def draw_word(text: str, font: str, rng: random.Random, style: Style = Style()) -> Array:
    """Draw a word.

    Args:
        text: The word, of characters that the font has.
        font: Font file.
        rng: All that is random is drawn from it.
        style: What it may look like.

    Returns:
        The image, BGR ``(H, W, 3)``, uint8.
    """
    size = rng.randint(*style.sizes)
    noise = np.random.default_rng(rng.getrandbits(64))
    stroke = rng.choice([0, 0, 0, 0, max(1, size // 24), max(1, size // 16)])
    ink = print_word(text, load_font(font, size), stroke)
    margins = draw_margins(ink.shape[0], size, rng, style.cropped)
    underlined = rng.random() < 0.05 and any(map(str.isalnum, text))
    if underlined:
        gap = rng.randint(1, 1 + size // 8)
        ink = np.pad(ink, ((0, gap + max(1, size // 14)), (0, 0)))
        ink[-max(1, size // 14) :] = 1
    ink = place(ink, margins)
    behind = draw_background(ink.shape, rng, noise, style.backgrounds)
    if rng.random() < 0.15:
        behind = blend(behind, draw_color(rng), draw_halo(ink, size, rng))
    if rng.random() < 0.05:
        behind = draw_border(behind, rng)
    behind, color = separate(behind, rng, style.min_contrast)
    image = blend(behind, color, ink)
    return np.rint(image[..., ::-1]).astype(np.uint8)


def print_word(text: str, font: Font, stroke: int = 0) -> Array:
    """Print a word as its ink in [0, 1], cropped to it, ``(h, w)``.

    Args:
        text: The word.
        font: The font at its size.
        stroke: Pixels by which lines are thicker, at each side.
    """
    # One layout, which takes most of the time; ImageDraw.text and getbbox() each make their own.
    mask, _ = font.getmask2(text, 'L')
    canvas = Image.new('L', mask.size)
    ImageDraw.Draw(canvas).draw.draw_bitmap((0, 0), mask, 255)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f'the font {font.getname()} draws nothing for {text!r}')
    ink = np.asarray(canvas.crop(box))
    if stroke:
        pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * stroke + 1, 2 * stroke + 1))
        ink = cv2.dilate(np.pad(ink, stroke), pen)
    return ink.astype(np.float32) / 255


def draw_margins(
    height: int, size: int, rng: random.Random, cropped: float = 0.0
) -> tuple[int, int, int, int]:
    """Draw the space around a text: left, top, right and bottom, in pixels.

    A negative one cuts off a part of the text: at most a sixth of its height.
    """
    most = rng.choice([1, size // 8, size // 8, size // 3])  # tight, as of a detector, loose
    margins = [rng.randint(0, max(1, most)) for _ in range(4)]
    if rng.random() < cropped:
        margins[rng.randrange(4)] = -rng.randint(1, max(1, height // 6))
    left, top, right, bottom = margins
    return left, top, right, bottom


def place(ink: Array, margins: tuple[int, int, int, int]) -> Array:
    """Add the margins to the ink, or cut off what the negative ones say."""
    left, top, right, bottom = margins
    ink = np.pad(ink, ((max(0, top), max(0, bottom)), (max(0, left), max(0, right))))
    height, width = ink.shape
    # A single narrow character keeps most of itself.
    cut_left, cut_right = (min(max(0, -side), width // 6) for side in (left, right))
    return ink[max(0, -top) : height - max(0, -bottom), cut_left : width - cut_right]


def draw_color(rng: random.Random) -> Array:
    """Draw a colour, RGB ``(3,)``: often a grey."""
    if rng.random() < 0.4:
        return np.full(3, rng.uniform(0, 255), np.float32)
    return np.array([rng.uniform(0, 255) for _ in range(3)], np.float32)


def draw_background(
    shape: tuple[int, ...],
    rng: random.Random,
    noise: np.random.Generator,
    files: Sequence[str] = (),
) -> Array:
    """Draw a plain background, a gradient, a texture, or a part of an image.

    Returns:
        RGB ``(H, W, 3)`` in [0, 255], float32.
    """
    height, width = shape
    if files and rng.random() < 0.5:
        return crop_image(rng.choice(files), height, width, rng)
    color = draw_color(rng)
    kind = rng.choice(['plain', 'plain', 'gradient', 'texture', 'texture'])
    if kind == 'gradient':
        # Colours at the four corners, each near the first one.
        corners = np.stack([color + rng.uniform(0.1, 0.6) * (draw_color(rng) - color)] * 4)
        corners[rng.randrange(4)] = corners[rng.randrange(4)] = color
        image = cv2.resize(corners.reshape(2, 2, 3), (width, height))
    elif kind == 'texture':
        # Noise of one scale, from grains to clouds, longer in one direction.
        cells = [max(2, int(side / rng.uniform(1, 12))) for side in (height, width)]
        grey = noise.standard_normal((*cells, 1), np.float32)
        if rng.random() < 0.3:
            grey = grey + noise.standard_normal((*cells, 3), np.float32)
        image = cv2.resize(
            rng.uniform(4, 30) * np.broadcast_to(grey, (*cells, 3)),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        image = color + image
    else:
        image = np.broadcast_to(color, (height, width, 3))
    return np.clip(image, 0, 255)


def crop_image(path: str, height: int, width: int, rng: random.Random) -> Array:
    """Crop a random part of an image file, at least half as large, and resize it."""
    image = _load_rgb(path)
    scale = min(image.shape[0] / height, image.shape[1] / width)
    scale *= rng.uniform(min(0.5, 1 / scale), 1)
    rows, columns = max(1, int(height * scale)), max(1, int(width * scale))
    y = rng.randint(0, image.shape[0] - rows)
    x = rng.randint(0, image.shape[1] - columns)
    part = image[y : y + rows, x : x + columns]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


@lru_cache(32)
def _load_rgb(path: str) -> Array:
    return load_image(path)[..., ::-1]


def draw_halo(ink: Array, size: int, rng: random.Random) -> Array:
    """Draw what is around the ink: its shadow, or an outline; in [0, 1], as large as the ink."""
    reach = rng.randint(1, max(1, size // 12))
    if rng.random() < 0.5:
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        return cv2.dilate(ink, kernel)
    down, right = rng.choice([-reach, reach]), rng.choice([-reach, reach])
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    shadow = cv2.warpAffine(ink, shift, ink.shape[::-1])
    return cv2.blur(shadow, (3, 3)) * rng.uniform(0.5, 1)


def draw_border(image: Array, rng: random.Random) -> Array:
    """Draw a line along one or more sides, as of a table or a sign."""
    image, color = image.copy(), draw_color(rng)
    width = rng.randint(1, max(1, len(image) // 20))
    for side in rng.sample(range(4), rng.randint(1, 4)):
        turned = np.rot90(image, side)
        turned[:width] = color
    return image


def separate(behind: Array, rng: random.Random, min_contrast: int) -> tuple[Array, Array]:
    """Draw the colour of a text that differs from every pixel of its background.

    The background's own contrast is lowered if it leaves no room for that.

    Returns:
        The background, and the colour, RGB ``(3,)``.
    """
    # Rounding the pixels takes half a grey level from either.
    contrast = min(min_contrast + 1, 255)
    grey = behind @ GREY
    low, high = float(grey.min()), float(grey.max())
    if low < contrast and high > 255 - contrast:
        # Towards white or black, whichever is nearer.
        scale = (255 - contrast) / 255
        lighter = low + high > 255
        behind = behind * scale + (contrast if lighter else 0)
        low, high = (side * scale + contrast * lighter for side in (low, high))
    for _ in range(20):
        color = draw_color(rng)
        value = float(color @ GREY)
        if value <= low - contrast or value >= high + contrast:
            return behind, color
    dark = low >= contrast
    return behind, np.full(3, 0 if dark else 255, np.float32)


def blend(behind: Array, color: Array, ink: Array) -> Array:
    """Put a colour on an image where there is ink."""
    return behind + (color - behind) * ink[..., None]
