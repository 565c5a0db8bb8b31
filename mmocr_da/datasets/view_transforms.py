"""The augmentation of SeqCLR (Aberdam et al., CVPR 2021, arXiv:2012.10873, Appendix B).

The transforms keep the order of an image's columns, so that the frames of two views correspond. The
paper takes them from imgaug, but imgaug's ``SomeOf`` fails with NumPy 1.24 and later; with OpenCV
they are 4 to 90 times as fast (``tools/benchmarks/view_speed.py``).

All of them transform ``results['img']``, uint8 of shape ``(H, W)`` or ``(H, W, C)``, and keep its
shape and type. They draw from NumPy's global random state.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mmocr_da.arguments import check_count, check_flag, check_list
from mmocr_da.registry import TRANSFORMS

Range = tuple[float, float]
Number = TypeVar('Number', int, float)


class ImageTransform(BaseTransform):
    """Base of transforms that replace ``results['img']`` by ``augment(image)``."""

    def transform(self, results: dict) -> dict:
        """Augment ``results['img']``.

        Raises:
            ValueError: If it is not a uint8 image.
        """
        image = results['img']
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise ValueError(
                f'{type(self).__name__} needs a uint8 image of shape (H, W) or '
                f'(H, W, C), got {image.dtype} {image.shape}; put it after the '
                'transform that loads the image and before one that normalizes it'
            )
        # OpenCV drops the last axis of (H, W, 1).
        results['img'] = self.augment(image).reshape(image.shape)
        return results

    def augment(self, image: np.ndarray) -> np.ndarray:
        """Return the augmented image, uint8 with the same number of values as ``image``."""
        raise NotImplementedError

    def __repr__(self) -> str:
        arguments = ', '.join(
            f'{key}={value!r}' for key, value in vars(self).items() if not key.startswith('_')
        )
        return f'{type(self).__name__}({arguments})'


@TRANSFORMS.register_module()
class LinearContrast(ImageTransform):
    """``127 + alpha * (v - 127)`` for each value ``v``, rounded.

    Args:
        alpha: Range of the factor; 1 leaves the image unchanged, 0 makes it grey.
    """

    def __init__(self, alpha: Range = (0.5, 1.0)) -> None:
        self.alpha = _check_range('alpha', alpha)

    def augment(self, image: np.ndarray) -> np.ndarray:
        table = 127 + np.random.uniform(*self.alpha) * (np.arange(256) - 127)
        return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8))


@TRANSFORMS.register_module()
class GaussianBlur(ImageTransform):
    """Blur by a Gaussian with a uniformly drawn standard deviation.

    The paper contradicts itself: up to 1.0 pixels in the text, up to 1.5 in the pseudo-code, which
    reimplementations follow.

    Args:
        sigma: Range of the standard deviation in pixels; 0 leaves the image unchanged.
    """

    def __init__(self, sigma: Range = (0.5, 1.5)) -> None:
        self.sigma = _check_range('sigma', sigma)

    def augment(self, image: np.ndarray) -> np.ndarray:
        sigma = np.random.uniform(*self.sigma)
        # OpenCV replaces a deviation of 0 by one that it derives from the kernel size.
        return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0 else image


@TRANSFORMS.register_module()
class Sharpen(ImageTransform):
    """``(1 - alpha) * image + alpha * sharpened``, as in imgaug.

    ``sharpened`` is the convolution with a 3 x 3 kernel: ``8 + lightness`` in the middle, ``-1``
    around it. It sums up to ``lightness``, so uniform areas get darker for ``lightness < 1``.

    Args:
        alpha: Range of the share of the sharpened image; 0 leaves the image unchanged.
        lightness: Range of the factor of uniform areas in the sharpened image.
    """

    def __init__(self, alpha: Range = (0.0, 0.5), lightness: Range = (0.0, 0.5)) -> None:
        self.alpha = _check_range('alpha', alpha, 1)
        self.lightness = _check_range('lightness', lightness)

    def augment(self, image: np.ndarray) -> np.ndarray:
        alpha, lightness = np.random.uniform(*self.alpha), np.random.uniform(*self.lightness)
        kernel = np.full((3, 3), -alpha, np.float32)
        kernel[1, 1] = 1 - alpha + alpha * (8 + lightness)
        return cv2.filter2D(image, -1, kernel)


@TRANSFORMS.register_module()
class CropAndResize(ImageTransform):
    """Cut a part off each side and resize the rest to the size of the image.

    The paper uses it twice: ``top=bottom=(0, 0.4)`` and ``left=right=(0, 0.02)``. As the four
    sides are independent, up to 80 % of the height can be cut off. Interpolation is bilinear.

    Args:
        top, bottom: Ranges of the parts of the height that are cut off, rounded to pixels.
        left, right: Ranges of the parts of the width that are cut off.
    """

    def __init__(
        self,
        top: Range = (0.0, 0.0),
        bottom: Range = (0.0, 0.0),
        left: Range = (0.0, 0.0),
        right: Range = (0.0, 0.0),
    ) -> None:
        self.top = _check_range('top', top, 1)
        self.bottom = _check_range('bottom', bottom, 1)
        self.left = _check_range('left', left, 1)
        self.right = _check_range('right', right, 1)
        for first, second in (('top', 'bottom'), ('left', 'right')):
            most = getattr(self, first)[1] + getattr(self, second)[1]
            if most >= 1:
                raise ValueError(
                    f'{first} and {second} must leave some of the image, got ranges '
                    f'that cut up to {most:.0%} off: lower their upper ends'
                )

    def augment(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        first_row, last_row = _cut(height, self.top, self.bottom)
        first_column, last_column = _cut(width, self.left, self.right)
        part = image[first_row:last_row, first_column:last_column]
        return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)


@TRANSFORMS.register_module()
class PiecewiseAffine(ImageTransform):
    """Warp the image by normally distributed displacements of the points of a grid.

    Between the points, displacements are interpolated bilinearly, not affinely on triangles as in
    imgaug, which takes 90 times as long. Pixels outside the image repeat its edge.

    Displacements are clipped at a quarter of a cell of the grid: then the image cannot fold, and
    the columns of each row keep their order.

    Args:
        scale: Range of the standard deviation, as a part of height and width.
        rows, cols: Points of the grid; the outer ones are on the edge of the image.
    """

    def __init__(self, scale: Range = (0.02, 0.03), rows: int = 4, cols: int = 4) -> None:
        for name, value in (('rows', rows), ('cols', cols)):
            check_count(name, value, least=2)
        self.scale = _check_range('scale', scale)
        self.rows, self.cols = rows, cols
        most = 0.25 / (max(rows, cols) - 1)
        if self.scale[1] > most:
            raise ValueError(
                f'scale must be at most a quarter of a cell, {most:.3g} on {rows} x '
                f'{cols} points, got {scale}: lower it or use a coarser grid'
            )
        # x and y of the points, (2, rows, cols), of an image from 0 to 1.
        self._grid = np.stack(np.meshgrid(np.linspace(0, 1, cols), np.linspace(0, 1, rows)))
        self._limit = 0.25 / np.array([cols - 1, rows - 1], np.float64).reshape(2, 1, 1)

    def augment(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        moves = np.random.normal(0, np.random.uniform(*self.scale), self._grid.shape)
        np.clip(moves, -self._limit, self._limit, out=moves)
        moves += self._grid
        moves[0] *= width - 1
        moves[1] *= height - 1
        points = moves.astype(np.float32)
        maps = _interpolation(height, self.rows) @ points @ _interpolation(width, self.cols).T
        return cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@TRANSFORMS.register_module()
class PerspectiveJitter(ImageTransform):
    """A random perspective: the corners of the result are points inside the image.

    The distance of such a point from its corner is ``|normal(0, scale)|`` along either axis, at
    most a quarter of the size (imgaug: at most half, where an image may fold).

    Args:
        scale: Range of the standard deviation, as a part of height and width.
    """

    def __init__(self, scale: Range = (0.01, 0.02)) -> None:
        self.scale = _check_range('scale', scale, 0.25)

    def augment(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        moves = np.abs(np.random.normal(0, np.random.uniform(*self.scale), (4, 2)))
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
        size = np.array([width - 1, height - 1], np.float32)
        origins = corners + (1 - 2 * corners) * np.minimum(moves, 0.25).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(corners * size, origins * size)
        return cv2.warpPerspective(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


@TRANSFORMS.register_module()
class SomeOf(BaseTransform):
    """Apply a random number of transforms, each at most once, in random order.

    Args:
        transforms: Configs of transforms, or transforms.
        num: Smallest and largest number of transforms to apply, drawn uniformly.
        random_order: Whether to shuffle the chosen ones, or to apply them in the given order.
    """

    def __init__(
        self, transforms: Sequence, num: tuple[int, int] = (1, 5), random_order: bool = True
    ) -> None:
        check_list('transforms', transforms, (dict, Callable), 'transforms')
        check_flag('random_order', random_order)
        self.transforms = list(Compose(transforms))
        self.num = _check_range('num', num)
        if not all(isinstance(n, int) for n in self.num):
            raise ValueError(f'num must be two integers, got {num!r}')
        if self.num[0] > len(self.transforms):
            raise ValueError(
                f'num must start with at most {len(self.transforms)}, the number of '
                f'transforms, got {num!r}'
            )
        self.random_order = random_order

    def __iter__(self):
        return iter(self.transforms)

    def transform(self, results: dict) -> dict | None:
        """Apply some of the transforms; None if one of them returns None."""
        least, most = self.num
        count = np.random.randint(least, min(most, len(self.transforms)) + 1)
        chosen = np.random.permutation(len(self.transforms))[:count]
        for i in chosen if self.random_order else np.sort(chosen):
            results = self.transforms[i](results)
            if results is None:
                return None
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(transforms={self.transforms}, num={self.num}, '
            f'random_order={self.random_order})'
        )


def _check_range(
    name: str, value: tuple[Number, Number], highest: float = math.inf
) -> tuple[Number, Number]:
    """Return a range as a tuple; a ValueError if it is not within ``[0, highest]``."""
    numbers = (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(type(v) in (int, float) and math.isfinite(v) for v in value)
    )
    if not numbers or not 0 <= value[0] <= value[1] <= highest:
        bounds = 'of at least 0' if highest == math.inf else f'from 0 to {highest}'
        raise ValueError(
            f'{name} must be two numbers {bounds}, the smaller first, got {value!r}; '
            'give the same number twice for one that is fixed'
        )
    return value[0], value[1]


def _cut(size: int, first: Range, last: Range) -> tuple[int, int]:
    """First and last pixel (exclusive) after cutting random parts off both ends."""
    start = round(np.random.uniform(*first) * size)
    end = size - round(np.random.uniform(*last) * size)
    if start >= end:  # only in tiny images
        start = min(start, size - 1)
        end = start + 1
    return start, end


@lru_cache(maxsize=1024)
def _interpolation(size: int, points: int) -> np.ndarray:
    """Weights ``(size, points)`` of linear interpolation from evenly spaced points to pixels."""
    positions = np.linspace(0, points - 1, size)
    weights = 1 - np.abs(positions[:, None] - np.arange(points))
    return np.maximum(weights, 0).astype(np.float32)
