"""One augmentation of labelled source images that covers what real images do to print."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmocr_da.arguments import check_config, check_number
from mmocr_da.registry import TRANSFORMS

from .polarity import has_bright_text
from .view_transforms import ImageTransform

Image = NDArray[Any]  # uint8

#: The parts, in the order in which they are applied, with their probabilities at strength 1.
PROBABILITIES = dict(
    stroke=0.3,
    slant=0.4,
    rotation=0.4,
    curvature=0.25,
    perspective=0.3,
    crop=0.6,
    recolour=0.7,
    inversion=0.5,
    light=0.3,
    blur=0.2,
    motion=0.1,
    low_resolution=0.2,
    noise=0.4,
    jpeg=0.3,
)
GEOMETRY = ('slant', 'rotation', 'curvature', 'perspective', 'crop')
#: At most one of them, as each takes away detail.
DETAIL = ('blur', 'motion', 'low_resolution')

SLANT, ROTATION = np.tan(np.deg2rad((20, 8)))
#: Largest parts of the height by which rotation and curvature move the ends of a word, and of the
#: width by which a slant moves its top against its bottom.
RISE, SAGITTA, SHIFT = 0.3, 0.2, 0.25
#: Of four sides, what is cut off and what is added at most: of the height, and of the width.
CUT, MARGIN = (0.06, 0.03), (0.15, 0.12)
#: Text of this height and contrast (grey levels) is readable; parts leave at least as much.
LEAST_HEIGHT, LEAST_SPAN = 14, 64
#: Levels by which a channel differs from the mean at most; dark and light colours have less.
TINT = 60
CENTRED = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
#: Points of the upper and the lower edge of an image, in units of its width and height.
OUTLINE = np.array([[x / 8, y, 1] for y in (0, 1) for x in range(9)]).T
SIDE = 32766  # what OpenCV warps at most


@TRANSFORMS.register_module()
class TextAugmentation(ImageTransform):
    """Augments images of words or lines as cameras, surfaces and layout change print.

    It is for labelled source images of a recognizer, directly after the transform that loads them
    and before ``Resize``: ``results['img']`` is a uint8 image of any size and 1 to 4 channels, and
    its shape and type are kept. Boxes are not transformed. Images with a side above 32,766 pixels
    are left unchanged.

    Parts, in this order; H and W are the height and width of the image. Ranges are uniform unless
    something else is said. Strength multiplies the probabilities and the ranges, and 0 changes
    nothing.

    ================== ==== =====================================================================
    part               p    at strength 1
    ================== ==== =====================================================================
    ``stroke``         0.3  thicker or thinner: up to 70 % of the way to a dilated or eroded
                            image, by 1 pixel for each 48 of H, at least 1; less far if H < 24
    ``slant``          0.4  up to 20 degrees to each side, top against bottom up to 0.25 W
    ``rotation``       0.4  up to 8 degrees to each side, ends up to 0.3 H apart
    ``curvature``      0.25 a parabola up or down, ends and middle up to 0.2 H and 0.08 W apart
    ``perspective``    0.3  left and right differ in height by up to 18 %, top and bottom in width
                            by up to 10 %
    ``crop``           0.6  errors of the box, independent for four sides. Top and bottom: from 6 %
                            of the height cut off to 15 % added; left and right: the same in
                            pixels, but at most 3 % of the width cut off and 12 % added
    ``recolour``       0.7  new contrast and brightness: grey levels span from 64 (or as few as
                            there are) to 255; gamma 0.6 to 1.6 (log-uniform). In colour also a
                            random order of the channels, and tints of text and background of the
                            same mean over the channels, by up to 60 levels
    ``inversion``      0.5  ``255 - v``: text lighter than its background, or the reverse. With
                            ``bright_text`` its probability depends on the image
    ``light``          0.3  shades and textures: smooth random field of 2 to 6 points of H,
                            deviation up to 0.5 of the image's
    ``blur``           0.2  out of focus: Gaussian of deviation up to 0.05 H
    ``motion``         0.1  mean along a line of up to 0.15 H in any direction
    ``low_resolution`` 0.2  shrunk to 25 % of the size or 14 pixels of height at most
                            (log-uniform), and enlarged
    ``noise``          0.4  Gaussian, deviation up to 0.5 of the image's
    ``jpeg``           0.3  quality 20 to 80
    ================== ==== =====================================================================

    What keeps text readable: at most one of ``blur``, ``motion`` and ``low_resolution`` is applied;
    light and noise are relative to the contrast; slant, rotation, curvature and perspective move
    nothing out of the image, which is shrunk to fit. Only ``crop`` cuts off, at most 6 % of the
    fitted height and 3 % of the fitted width at each side. What comes in from outside repeats the
    edge of the image or has the median colour of its edge.

    It draws from NumPy's global random state alone.

    Args:
        strength: From 0, which changes nothing, to 1.
        probabilities: Of single parts instead of those of the table, for instance
            ``dict(blur=0)``. Strength multiplies them, too.
        bright_text: Share of the images of the target whose text is brighter than its background,
            see :func:`.polarity.bright_text_share`. At strength 1 that is also the share among
            augmented images, whatever they were before: an image is inverted so that its text is
            bright with this probability. By default images are inverted with the probability of
            ``inversion``.
    """

    def __init__(
        self,
        strength: float = 1.0,
        probabilities: Mapping[str, float] | None = None,
        bright_text: float | None = None,
    ) -> None:
        check_number('strength', strength, least=0, most=1)
        check_config('probabilities', probabilities)
        probabilities = dict(probabilities or {})
        if bright_text is not None:
            check_number('bright_text', bright_text, least=0, most=1)
            if 'inversion' in probabilities:
                raise ValueError(
                    'bright_text decides which images are inverted, so probabilities must not have '
                    'inversion beside it: leave one of them out'
                )
        unknown = probabilities.keys() - PROBABILITIES.keys()
        if unknown:
            raise ValueError(
                f'probabilities must have keys of {", ".join(PROBABILITIES)}, '
                f'got {", ".join(sorted(unknown))}'
            )
        for name, value in probabilities.items():
            check_number(f'probabilities[{name!r}]', value, least=0, most=1)
        self.strength = strength
        self.probabilities = probabilities
        self.bright_text = bright_text
        self._chances = {
            name: strength * p for name, p in {**PROBABILITIES, **probabilities}.items()
        }
        total = sum({**PROBABILITIES, **probabilities}[name] for name in DETAIL)
        if total > 1 + 1e-9:
            raise ValueError(
                f'probabilities of {", ".join(DETAIL)} must sum up to at most 1, as at most one of '
                f'them is applied, got {total:g}: lower them'
            )
        self._detail: dict[str, Callable[[Image], Image]] = dict(
            blur=self._blur, motion=self._motion, low_resolution=self._shrink
        )

    def augment(self, image: Image) -> Image:
        """Return the augmented image.

        Raises:
            ValueError: If it has more than four channels.
        """
        if image.ndim == 3 and image.shape[2] > 4:
            raise ValueError(
                f'TextAugmentation needs an image of 1 to 4 channels, got {image.shape[2]}'
            )
        if max(image.shape[:2]) > SIDE:
            return image
        inversion = self._chance_of_inversion(image)
        if self._draws('stroke'):
            image = self._stroke(image)
        geometry = [name for name in GEOMETRY if self._draws(name)]
        if geometry:
            image = self._warp(image, geometry)
        if self._draws('recolour'):
            image = self._recolour(image)
        if np.random.random() < inversion:
            image = cv2.bitwise_not(image)
        if self._draws('light'):
            image = self._light(image)
        drawn = np.random.random()
        for name in DETAIL:
            drawn -= self._chances[name]
            if drawn < 0:
                image = self._detail[name](image)
                break
        if self._draws('noise'):
            image = self._noise(image)
        if self._draws('jpeg'):
            image = self._jpeg(image)
        return image

    def _chance_of_inversion(self, image: Image) -> float:
        if self.bright_text is None:
            return self._chances['inversion']
        wanted = 1 - self.bright_text if has_bright_text(image) else self.bright_text
        return self.strength * wanted

    def _draws(self, part: str) -> bool:
        return bool(np.random.random() < self._chances[part])

    def _up_to(self, most: float) -> float:
        """A random number from 0 to ``most``, times the strength."""
        return most * self.strength * np.random.random()

    def _around(self, most: float) -> float:
        """A random number from ``-most`` to ``most``, times the strength."""
        return most * self.strength * np.random.uniform(-1, 1)

    def _stroke(self, image: Image) -> Image:
        size = 1 + 2 * max(1, round(image.shape[0] / 48))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        change = cv2.dilate if np.random.random() < 0.5 else cv2.erode
        # The strokes of a low image are one pixel wide: eroded, they would be gone.
        share = self._up_to(0.7 * min(1.0, image.shape[0] / 24))
        changed = change(image, kernel).reshape(image.shape)
        return _same(cv2.addWeighted(image, 1 - share, changed, share, 0), image)

    def _warp(self, image: Image, parts: list[str]) -> Image:
        height, width = image.shape[:2]
        ratio = height / width
        slant = rise = sagitta = across = along = 0.0
        if 'slant' in parts:
            slant = self._around(min(SLANT * ratio, SHIFT))
        if 'rotation' in parts:
            rise = self._around(min(ROTATION / ratio, RISE))
        if 'curvature' in parts:
            sagitta = self._around(min(0.08 / ratio, SAGITTA))
        if 'perspective' in parts:
            across, along = self._around(0.2), self._around(0.1)
        # In units of width and height, about the centre. The baseline that rises makes the stems
        # lean the other way, as in a rotation.
        affine = np.array([[1, slant - rise * ratio**2, 0], [rise, 1, 0], [0, 0, 1]])
        perspective = np.array([[1, 0, 0], [0, 1, 0], [across, along, 1]])
        forward = perspective @ affine @ CENTRED
        outline = OUTLINE.copy()
        outline[1] += 4 * sagitta * (outline[0] - 0.5) ** 2
        outline = forward @ outline
        outline = outline[:2] / outline[2]
        (left, top), (right, bottom) = outline.min(axis=1).tolist(), outline.max(axis=1).tolist()
        if 'crop' in parts:
            (cut_y, cut_x), (more_y, more_x) = CUT, MARGIN
            cut_x, more_x = min(cut_y * ratio, cut_x), min(more_y * ratio, more_x)
            moves = self.strength * np.random.uniform(
                (-cut_x, -cut_y, -cut_x, -cut_y), (more_x, more_y, more_x, more_y)
            )
            x, y = right - left, bottom - top
            left, top = left - x * moves[0], top - y * moves[1]
            right, bottom = right + x * moves[2], bottom + y * moves[3]
        fit = np.array([[right - left, 0, left], [0, bottom - top, top], [0, 0, 1]])
        backward = _inverse(forward) @ fit  # from the result to the image
        border, colour = cv2.BORDER_REPLICATE, [0]
        if np.random.random() < 0.5:
            border, colour = cv2.BORDER_CONSTANT, _edge_colour(image)
        if sagitta:
            x_map, y_map = _maps(backward, sagitta, height, width)
            return _same(
                cv2.remap(
                    image, x_map, y_map, cv2.INTER_LINEAR, borderMode=border, borderValue=colour
                ),
                image,
            )
        # The centre of the first pixel is (0.5 / width, 0.5 / height) there and (0, 0) in OpenCV.
        to_pixels = np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1]])
        backward = to_pixels @ backward @ _inverse(to_pixels)
        return _same(
            cv2.warpPerspective(
                image,
                backward,
                (width, height),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=border,
                borderValue=colour,
            ),
            image,
        )

    def _recolour(self, image: Image) -> Image:
        low, high = int(image.min()), int(image.max())
        span = np.random.uniform(min(LEAST_SPAN, high - low), 255)
        start = np.random.uniform(0, 255 - span)
        ends = np.array([low, high]) * (1 - self.strength)
        ends += np.array([start, start + span]) * self.strength
        gamma = np.exp(self._around(0.47))
        shares = np.clip((np.arange(256) - low) / max(high - low, 1), 0, 1) ** gamma
        if image.ndim == 3 and (channels := image.shape[2]) > 1:
            image = image[..., np.random.permutation(channels)]
            tints = np.random.uniform(-1, 1, (channels, 2))
            # The mean over the channels, and with it the contrast, stays.
            tints -= tints.mean(axis=0)
            tints *= channels / (2 * channels - 2)  # within -1 to 1 again
            ends = ends + tints * self.strength * np.clip(np.minimum(ends, 255 - ends), 0, TINT)
        values = ends[..., :1] + (ends[..., 1:] - ends[..., :1]) * shares  # ([channels,] 256)
        if values.ndim == 2:
            values = values.T[None]  # as OpenCV wants it
        table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return _same(cv2.LUT(np.ascontiguousarray(image), table), image)

    def _light(self, image: Image) -> Image:
        height, width = image.shape[:2]
        rows = np.random.randint(2, 7)
        columns = min(max(2, round(rows * width / height)), 512)
        points = np.random.normal(0, self._up_to(0.5) * _deviation(image), (rows, columns))
        field = cv2.resize(
            points.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        return _add(image, field if image.ndim == 2 else field[..., None])

    def _blur(self, image: Image) -> Image:
        sigma = self._up_to(0.05) * image.shape[0]
        # OpenCV replaces a deviation of 0 by one that it derives from the kernel size.
        return _same(cv2.GaussianBlur(image, (0, 0), sigma), image) if sigma > 0 else image

    def _motion(self, image: Image) -> Image:
        # A line of fractional length: both ends weigh what is left of it.
        half = self._up_to(0.15) * image.shape[0] / 2
        angle = np.random.uniform(0, np.pi)
        radius = int(np.ceil(half)) + 1
        kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
        for along in np.linspace(-half, half, 4 * radius + 1):
            x, y = radius + along * np.cos(angle), radius + along * np.sin(angle)
            column, row = int(x), int(y)
            right, below = x - column, y - row
            kernel[row, column] += (1 - right) * (1 - below)
            kernel[row, column + 1] += right * (1 - below)
            kernel[row + 1, column] += (1 - right) * below
            kernel[row + 1, column + 1] += right * below
        kernel /= kernel.sum()
        return _same(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), image)

    def _shrink(self, image: Image) -> Image:
        height, width = image.shape[:2]
        least = max(LEAST_HEIGHT, height * (1 - 0.75 * self.strength))
        if least >= height:
            return image
        scale = np.exp(np.random.uniform(np.log(least / height), 0))
        size = max(1, round(scale * width)), max(1, round(scale * height))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        methods = cv2.INTER_LINEAR, cv2.INTER_CUBIC
        method = methods[np.random.randint(len(methods))]
        return _same(cv2.resize(small, (width, height), interpolation=method), image)

    def _noise(self, image: Image) -> Image:
        sigma = self._up_to(0.5) * _deviation(image)
        # A generator of its own, as it draws large images four times as fast.
        generator = np.random.Generator(np.random.SFC64(np.random.randint(2**31)))
        noise = generator.standard_normal(image.shape, np.float32)
        noise *= np.float32(sigma)
        return _add(image, noise)

    def _jpeg(self, image: Image) -> Image:
        quality = 100 - round(self.strength * np.random.uniform(20, 80))
        if image.ndim == 3 and image.shape[2] not in (1, 3):
            planes = [_through_jpeg(plane, quality) for plane in np.moveaxis(image, 2, 0)]
            return np.stack(planes, axis=-1)
        return _same(_through_jpeg(image, quality), image)


def _inverse(matrix: NDArray[Any]) -> NDArray[Any]:
    # Not np.linalg.inv: its library wakes threads for it, a millisecond on busy cores.
    return cv2.invert(matrix)[1]


def _maps(
    backward: NDArray[np.float64], sagitta: float, height: int, width: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each pixel of the result its place in the image, where lines are bent by ``sagitta``."""
    m = backward.astype(np.float32)
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    depth = m[2, 0] * x + (m[2, 1] * y + m[2, 2])
    from_x = (m[0, 0] * x + (m[0, 1] * y + m[0, 2])) / depth
    from_y = (m[1, 0] * x + (m[1, 1] * y + m[1, 2])) / depth
    from_y -= np.float32(4 * sagitta) * np.square(from_x - np.float32(0.5))
    return from_x * width - np.float32(0.5), from_y * height - np.float32(0.5)


def _same(result: Image, image: Image) -> Image:
    """``result`` in the shape of ``image``: OpenCV drops the last axis of ``(H, W, 1)``."""
    return result.reshape(image.shape)


def _add(image: Image, change: NDArray[Any]) -> Image:
    total = image + change
    return np.clip(np.rint(total, out=total), 0, 255, out=total).astype(np.uint8)


def _deviation(image: Image) -> float:
    """Standard deviation over the pixels, the quadratic mean over the channels."""
    return float(np.sqrt(np.square(cv2.meanStdDev(image)[1]).mean()))


def _edge_colour(image: Image) -> list[int]:
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    middle = len(edge) // 2
    return np.atleast_1d(np.partition(edge, middle, axis=0)[middle]).tolist()


def _through_jpeg(image: Image, quality: int) -> Image:
    image = np.ascontiguousarray(image)
    _, content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
