"""Loads images as 8-bit pixels: transparency on white, 16 bits with all grey levels."""

import copy
import warnings

import cv2
import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmengine.dataset import Compose
from mmocr.datasets import RecogLMDBDataset
from mmocr.datasets import transforms as mmocr_transforms

from .lmdb_files import database_of
from .notes import NotingCompose, note
from .recog_lmdb_dataset import LazyRecogLMDBDataset, LMDBImages

#: Kinds of notes (see :mod:`~mmocr_da.datasets.notes`).
BLANK = 'images have one colour only and show nothing'
CONVERTED = (
    'images have transparency or 16 bits and may be black in MMOCR; they are loaded on a '
    'white background and with all their grey levels. The tools of MMOCR do not do so: convert '
    'the files to 8-bit images without transparency'
)

PNG, JPEG = b'\x89PNG\r\n\x1a\n', b'\xff\xd8'
GREY_FLAGS = ('grayscale', 'grayscale_ignore_orientation')
COLOR_FLAGS = ('color', 'color_ignore_orientation')


def load_image(path: str, color_type: str = 'color', **kwargs) -> np.ndarray:
    """Load an image as training and the test tools do, as BGR or grey.

    Args:
        path: A file, or any other address that MMEngine's file backends read.
        color_type: As in MMCV: 'color' or 'grayscale'.
        **kwargs: Arguments of MMOCR's ``LoadImageFromFile``.

    Raises:
        OSError: If it is not an image.
    """
    return LoadImageFromFile(color_type=color_type, **kwargs)(dict(img_path=path))['img']


def decode(
    content: bytes, color_type: str = 'color', path: str = 'an image', backend: str | None = 'cv2'
) -> np.ndarray | None:
    """Decode an image to uint8 as MMCV does, except two kinds that MMCV may show as black.

    An image with an alpha channel that varies is put on white, or on black if it is entirely white.
    A 16-bit image with values in less than half of the 8-bit range is stretched to the whole range.

    Returns:
        BGR ``(H, W, 3)`` or grey ``(H, W)``; None if it cannot be decoded.
    """
    image = None
    if color_type in GREY_FLAGS + COLOR_FLAGS and backend == 'cv2' and _may_hold_more(content):
        image = _shown(content, color_type in GREY_FLAGS)
    if image is not None:
        note(CONVERTED, path)
    else:
        image = mmcv.imfrombytes(content, flag=color_type, backend=backend)
    if image is not None and is_blank(image):
        note(BLANK, path)
    return image


def is_blank(image: np.ndarray) -> bool:
    """Whether all pixels are equal, so that the image shows nothing."""
    first = image[:1, :1]
    # A few pixels are enough to tell nearly every image that is not blank.
    return (
        bool(image.size) and bool((image[::7, ::7] == first).all()) and bool((image == first).all())
    )


class LoadImageFromFile(mmocr_transforms.LoadImageFromFile):
    """MMOCR's transform of this name, but with :func:`decode`.

    It replaces MMOCR's transform in training and testing.

    An image of a database arrives encoded, as ``results['content']``.
    """

    @classmethod
    def like(cls, loader: mmocr_transforms.LoadImageFromFile) -> 'LoadImageFromFile':
        """Make a loader with the arguments of MMOCR's loader."""
        ours = cls.__new__(cls)
        ours.__dict__.update(loader.__dict__)
        return ours

    def transform(self, results: dict) -> dict | None:
        """Add ``img``, ``img_shape`` and ``ori_shape``; None if ``ignore_empty`` and it is broken.

        Raises:
            OSError: If the image is broken or too small, unless ``ignore_empty``.
        """
        path = results['img_path']
        try:
            content = results.pop('content') if 'content' in results else self._read(path)
            image = None
            if content:
                image = decode(content, self.color_type, path, self.imdecode_backend)
            if image is None or min(image.shape[:2]) < self.min_size:
                raise OSError(f'{path} is broken')
        except Exception as error:
            if not self.ignore_empty:
                raise
            warnings.warn(f'the image {path} is left out: {error}')
            return None
        image = image.astype(np.float32) if self.to_float32 else image
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results

    def _read(self, path: str) -> bytes:
        if self.file_client_args is not None:
            return fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        return fileio.get(path, backend_args=self.backend_args)


def shown_pipeline(pipeline: Compose, color_type: str | None = None) -> NotingCompose:
    """Return a pipeline with :class:`LoadImageFromFile` of this package and notes in its samples.

    Args:
        pipeline: The pipeline of a dataset or of an inferencer.
        color_type: As in MMCV. If it is given and the pipeline has no loader, one is put first, for
            images that arrive as ``results['content']``.
    """
    transforms = [_ours(transform) for transform in pipeline.transforms]
    if color_type and transforms and not any(isinstance(t, LoadImageFromFile) for t in transforms):
        transforms.insert(0, LoadImageFromFile(color_type=color_type))
    return NotingCompose(transforms)


def load_as_shown(dataset) -> None:
    """Make a dataset and all its parts load images with :class:`LoadImageFromFile`, in place."""
    for part in [*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)]:
        if part is not None:
            load_as_shown(part)
    if type(dataset) in (RecogLMDBDataset, LazyRecogLMDBDataset):
        # In place, as samplers and dataloaders refer to it already.
        dataset.__class__ = LMDBImages
    pipeline = getattr(dataset, 'pipeline', None)
    # No subclass: ours is set up already, and one of a tool has another purpose.
    if type(pipeline) is Compose:
        color_type = getattr(database_of(dataset), 'color_type', None)
        dataset.pipeline = shown_pipeline(pipeline, color_type)


def _ours(transform):
    if type(transform) is mmocr_transforms.LoadImageFromFile:
        return LoadImageFromFile.like(transform)
    if isinstance(transform, mmocr_transforms.InferencerLoader):
        transform = copy.copy(transform)
        transform.from_file = _ours(transform.from_file)
    return transform


def _may_hold_more(content: bytes) -> bool:
    """Whether the file may have an alpha channel or more than 8 bits; quick for PNG and JPEG."""
    if content.startswith(PNG) and len(content) > 33:
        bits, color = content[24:26]
        return bits > 8 or color in (4, 6) or b'tRNS' in content[33 : content.find(b'IDAT')]
    return not content.startswith((JPEG, b'BM'))


def _shown(content: bytes, grey: bool) -> np.ndarray | None:
    """An image on white and with all its grey levels; None if MMCV decodes it equally well."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    full = np.iinfo(image.dtype.name).max
    alpha = image[..., 3] if image.ndim == 3 and image.shape[2] == 4 else None
    image = image if alpha is None else image[..., :3]
    converted = False
    if full > 255:
        low, high = int(image.min()), int(image.max())
        if 0 < 2 * (high - low) < full:
            image, full, converted = image - low, high - low, True
    image = image * (255 / full)
    # A constant alpha means nothing: some programs set it to 0 in images without transparency.
    if alpha is not None and not is_blank(alpha):
        alpha = alpha[..., None] / np.iinfo(alpha.dtype.name).max
        on_white = image * alpha + 255 * (1 - alpha)
        image = image * alpha if np.ptp(on_white) < 1 else on_white
        converted = True
    if not converted:
        return None
    image = np.rint(image).astype(np.uint8)
    if grey:
        return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
