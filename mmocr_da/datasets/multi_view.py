"""Several augmented views of one image with matching columns (SeqCLR, section 4, Fig. 2)."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mmocr_da.arguments import check_count, check_flag, check_list
from mmocr_da.registry import TRANSFORMS
from mmocr_da.rng import imgaug_restored, seeded

# A transform that acts on every second image is missed once in 10 ** 12 checks.
NUM_DRAWS = 40
#: Height and width of the images that a transform is tried on: the usual size of words.
PROBE_SIZE = (32, 100)
# Grey values that no usual threshold or inversion maps to the same value.
BLANK, BAR = 80, 200
#: Columns that are followed, as parts of the width.
COLUMNS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
MIDDLE = slice(1, 4)


@TRANSFORMS.register_module()
class MultiView(BaseTransform):
    """Run a pipeline on copies of a loaded image and return all results as one item.

    The item is ``dict(inputs=[image_1, ..., image_V], data_samples=[sample_1, ..., sample_V])``,
    or None if the pipeline returned None for one of the views.

    Args:
        transforms: The pipeline of a view, with ``PackTextRecogInputs`` at its end. Transforms that
            all views share, such as loading, are put before ``MultiView``.
        num_views: V, at least 2.
        keep_order: Whether to refuse transforms that move columns, as
            :func:`check_column_order` does. Set it to False only if whole images are compared.
        max_shift: Largest shift of a column by a transform, as a part of the width.
    """

    def __init__(
        self,
        transforms: Sequence,
        num_views: int = 2,
        keep_order: bool = True,
        max_shift: float = 0.1,
    ) -> None:
        check_count('num_views', num_views, least=2)
        check_flag('keep_order', keep_order)
        check_list('transforms', transforms, (dict, Callable), 'transforms')
        self.transforms = Compose(transforms)
        self.num_views = num_views
        if keep_order:
            check_column_order(self.transforms, max_shift)

    def __iter__(self):
        return iter(self.transforms)

    def transform(self, results: dict) -> dict | None:
        """Return the views of ``results['img']``; None if the pipeline returned None for one.

        Raises:
            ValueError: If no image is loaded, or if the pipeline does not pack its results.
        """
        if results.get('img') is None:
            raise ValueError(
                f"MultiView needs a loaded image 'img', got {sorted(results)}: put "
                'LoadImageFromFile before it, not into its transforms'
            )
        views = []
        for _ in range(self.num_views):
            view = self.transforms({key: copy.copy(value) for key, value in results.items()})
            if view is None:
                return None
            if not {'inputs', 'data_samples'} <= view.keys():
                raise ValueError(
                    'the transforms of MultiView must end with PackTextRecogInputs or '
                    "another that packs 'inputs' and 'data_samples', got an item with "
                    f'{sorted(view)}'
                )
            views.append(view)
        return {key: [view[key] for view in views] for key in ('inputs', 'data_samples')}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms}, num_views={self.num_views})'


def check_column_order(transforms: Callable | Sequence, max_shift: float = 0.1) -> None:
    """Refuse transforms that move or swap columns of an image.

    Flips, translations, large rotations and horizontal crops move columns. Contrastive learning on
    frames would then treat frames with different characters as a positive pair.

    Each transform is tried by itself; the parts of a container (``SomeOf``, ``RandomApply``,
    ``RandomChoice``, ``Compose``) are tried as if they were always applied. It runs on an empty
    image and on the same image with one bright bar, with the same random numbers. The difference
    shows where the bar went, row by row; photometric changes cancel out. Width that ``Pad`` or
    ``PadToWidth`` appended does not count. Transforms that load or pack are not tried.

    Effects on few images, or on larger ones only, can be missed, and the shifts of several
    transforms add up.

    Args:
        transforms: Transforms or their configs.
        max_shift: Largest shift of a column by a transform, as a part of the width.

    Raises:
        ValueError: If a transform moves a column by more, removes or swaps columns.
    """
    if not isinstance(max_shift, (int, float)) or not 0 < max_shift < 1:
        raise ValueError(
            f'max_shift must be a part of the width, above 0 and below 1, got {max_shift!r}'
        )
    with imgaug_restored():
        for transform in _leaves(Compose(transforms)):
            fault = _fault_of(transform, max_shift)
            if fault:
                raise ValueError(
                    f'the transforms of the views must keep the order of columns, but '
                    f'{_name(transform)} {fault} (max_shift={max_shift}): remove it or make it '
                    'weaker, or set keep_order=False for a baseline that takes the whole image as '
                    'one instance'
                )


def _leaves(transform: Any) -> Iterator[Callable]:
    """Yield the transforms within a transform, except loading and packing ones."""
    if hasattr(transform, 'true_transforms'):  # MMOCR's ConditionApply cannot be iterated
        parts = [transform.true_transforms, transform.false_transforms]
    elif hasattr(transform, '__iter__'):
        parts = transform
    elif type(transform).__name__.startswith(('Load', 'Pack')):
        parts = []
    else:
        yield transform
        return
    for part in parts:
        yield from _leaves(part)


def _name(transform: Callable) -> str:
    """Type of a transform, with the operation that it wraps, if any."""
    name = getattr(transform, '__name__', type(transform).__name__)
    for key in ('op', 'args'):
        if hasattr(transform, key):
            name += f'({key}={getattr(transform, key)!r})'
    return name


def _fault_of(transform: Callable, max_shift: float) -> str | None:
    """Name a forbidden effect of a transform on columns; None if there is none."""
    # A copy, since some remember their last draw. Not a deep one, which would copy imgaug's global
    # random numbers as well.
    transform = copy.copy(transform)
    images = np.full((1 + len(COLUMNS), *PROBE_SIZE), BLANK, np.uint8)
    for image, column in zip(images[1:], COLUMNS):
        middle = round(column * PROBE_SIZE[1])
        image[:, middle - 2 : middle + 2] = BAR
    try:
        return _try_on(transform, np.repeat(images[..., None], 3, axis=-1), max_shift)
    except Exception:
        # It may need images of one channel. If not, this error is as good as the first.
        return _try_on(transform, images, max_shift)


def _try_on(transform: Callable, images: np.ndarray, max_shift: float) -> str | None:
    """Try :func:`_fault_of` on ``images``: an empty one, and one with a bar for each column."""
    unseen = 0
    for seed in range(NUM_DRAWS):
        places = _follow(transform, images, seed)
        if places is None:  # the transform returned no image, or an empty one
            unseen += 1
            continue
        lost = np.isnan(places).all(axis=1)
        if lost[MIDDLE].sum() > 1:
            return f'removes the columns at {_percent(COLUMNS[lost])} of the width'
        shifts = np.nan_to_num(np.abs(places - COLUMNS[:, None]))
        i, row = np.unravel_index(shifts.argmax(), shifts.shape)
        if shifts[i, row] > max_shift:
            return (
                f'moves the column at {_percent(COLUMNS[[i]])} of the width to '
                f'{_percent(places[[i], row])}'
            )
        # Rotation about the middle moves the left and the right side out of the image.
        seen = (~np.isnan(places)).sum(axis=1)
        kept = seen[[0, -1]].max() / seen.max()
        if kept < 0.5:
            return (
                f'leaves at most {kept:.0%} of the columns at {_percent(COLUMNS[[0, -1]])} of '
                'the width, as a large rotation does'
            )
        means = np.nanmean(places[~lost], axis=1)
        swapped = np.flatnonzero(np.diff(means) <= 0)
        if len(swapped):
            return f'swaps the columns at {_percent(COLUMNS[~lost][swapped[0] :][:2])} of the width'
    if unseen > NUM_DRAWS // 2:
        return f'leaves nothing of the image in {unseen} of {NUM_DRAWS} draws'
    return None


def _percent(parts: np.ndarray) -> str:
    return ' and '.join(f'{100 * part:.0f} %' for part in parts)


def _follow(transform: Callable, images: np.ndarray, seed: int) -> np.ndarray | None:
    """Locate the bar of each image in each row of the result, as a part of the width.

    Returns:
        ``(columns, rows)``, NaN in rows without the bar; None if no bar is left.
    """
    outputs = []
    for image in images:
        results = dict(img=image.copy(), img_shape=PROBE_SIZE, ori_shape=PROBE_SIZE)
        with seeded(seed):
            results = transform(results)
        if results is None or results.get('img') is None:
            return None
        outputs.append(results['img'])
    images = np.stack(outputs).astype(np.float32)
    images = images.reshape(*images.shape[:3], -1)
    changes = images[1:] - images[0]
    # A bar may change the contrast of the background, so its median change is subtracted.
    sample = changes[:, ::4, ::3]
    changes -= np.median(sample, axis=(1, 2), keepdims=True)
    changes = np.abs(changes) @ np.ones(changes.shape[-1], np.float32)
    peaks = changes.max((1, 2), keepdims=True)
    if peaks.max() < 1e-3 * max(1, np.abs(images).max()):
        return None
    # Changes below half the peak are noise or the ringing of a filter.
    changes[changes < np.maximum(peaks / 2, 0.05 * peaks.max())] = 0
    height, width = changes.shape[1:]
    sums = changes @ np.stack([np.ones(width), np.arange(width) + 0.5], 1).astype(np.float32)
    with np.errstate(invalid='ignore', divide='ignore'):
        places = sums[..., 1] / sums[..., 0]
    return places / _valid_width(results, width)


def _valid_width(results: dict, width: int) -> float:
    """Width of a result without the padding on the right."""
    if 'valid_ratio' in results:
        return results['valid_ratio'] * width
    # Pad does not say how much it appended, but it does not resize either.
    return PROBE_SIZE[1] if 'pad_shape' in results else width
