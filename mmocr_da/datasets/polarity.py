"""Polarity of text: whether it is brighter or darker than its background."""

import copy
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from .image_loading import LoadImageFromFile

#: Images that are looked at.
SAMPLE = 1000


def has_bright_text(image: NDArray[Any]) -> bool:
    """Whether the text of an image is brighter than its background.

    Text covers less than half of an image, so if the distribution of its values has its longer tail
    above the mean, the text is bright: the third central moment is positive.

    >>> page = np.full((32, 100), 200, np.uint8)
    >>> page[10:20, 10:40] = 30
    >>> has_bright_text(page), has_bright_text(255 - page)
    (False, True)

    Args:
        image: ``(H, W)`` or ``(H, W, C)``.
    """
    deviations = image.astype(np.float32).ravel()
    deviations -= deviations.mean()
    return bool(np.dot(np.square(deviations), deviations) > 0)


def bright_text_share(dataset: BaseDataset, seed: int = 0) -> float | None:
    """Share of the images with bright text, to two digits.

    Labels are not looked at.

    Args:
        dataset: At most 1,000 of its images count; those that cannot be read are left out.
        seed: Which of them, if it has more.

    Returns:
        From 0 to 1; None if no image can be read.
    """
    probe = copy.copy(dataset)
    probe.pipeline = LoadImageFromFile(color_type='grayscale')
    found = []
    for i in np.random.default_rng(seed).permutation(len(dataset))[:SAMPLE]:
        try:
            image = probe.prepare_data(int(i))['img']
        except Exception:  # whatever a decoder raises for a broken file
            continue
        found.append(has_bright_text(image))
    return round(float(np.mean(found)), 2) if found else None
