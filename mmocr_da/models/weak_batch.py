"""The weak views of a batch: cleaner images that come with the images of a training."""

from collections.abc import Sequence
from typing import Any

import torch
from mmocr.structures import TextRecogDataSample


def weak_batch(samples: Sequence[TextRecogDataSample]) -> dict[str, Any] | None:
    """Return the weak views of images as a batch of a dataloader, without labels.

    Args:
        samples: Data samples of ``WeakStrongViews``, with the field ``weak_view``.

    Returns:
        ``inputs``, unsigned bytes ``(C, H, W)`` each, and ``data_samples``; None if an image has no
        weak view.
    """
    views = [sample.get('weak_view') for sample in samples]
    if any(view is None for view in views):
        return None
    # The preprocessor changes the valid ratio: views keep theirs.
    return dict(
        inputs=[torch.from_numpy(view.image) for view in views],
        data_samples=[without_label(view) for view in views],
    )


def without_label(sample: TextRecogDataSample) -> TextRecogDataSample:
    """Return a data sample with the metainfo of another one, and no text."""
    known = {key: value for key, value in sample.metainfo.items() if key != 'have_target'}
    return TextRecogDataSample(metainfo=known)
