"""A weak and a strong view of one image (FixMatch, Sohn et al., NeurIPS 2020, section 2.1)."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose
from mmocr.structures import TextRecogDataSample
from numpy.typing import NDArray

from mmocr_da.arguments import check_list
from mmocr_da.registry import TRANSFORMS

from .view_geometry import between, run, unrecorded


@TRANSFORMS.register_module()
class WeakStrongViews(BaseTransform):
    """Run two pipelines on a loaded image, and return the strong view with the weak one attached.

    The item is that of ``strong``. Its data sample has the field ``weak_view``, a data sample with
    the metainfo of the weak view, no text, and its pixels as ``image``, an array ``(C, H, W)``.
    The views need not match in size or geometry. What an objective takes from one to the other is
    a text, which does not depend on it, or regions, which move as MMDetection's transforms record
    (``mmdet.RandomFlip``, ``mmdet.Resize``, ``mmdet.RandomCrop``, ``mmdet.Rotate``,
    ``mmdet.ShearX``, ``mmdet.TranslateX``, ...). For detectors the weak view has metainfo of it:
    ``to_strong``, an array ``(3, 3)`` that maps its points ``(x, y, 1)`` to those of the strong
    view, if they differ; ``unrecorded``, the transforms that move pixels and record nothing.

    Args:
        weak: The pipeline of the view that a teacher sees, usually the test pipeline after the
            image is loaded.
        strong: The pipeline of the view that is learned from. Both end with
            ``PackTextRecogInputs``, or ``PackTextDetInputs`` for detectors.
    """

    def __init__(self, weak: Sequence[Any], strong: Sequence[Any]) -> None:
        for name, steps in dict(weak=weak, strong=strong).items():
            check_list(name, steps, (dict, Callable), 'transforms')
        self.weak = Compose(weak)
        self.strong = Compose(strong)
        self._unrecorded = unrecorded(self)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter([*self.weak, *self.strong])

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Return the strong view with the weak one; None if a pipeline returned None.

        Raises:
            ValueError: If no image is loaded, or if a pipeline does not pack its results.
        """
        if results.get('img') is None:
            raise ValueError(
                f"WeakStrongViews needs a loaded image 'img', got {sorted(results)}: put "
                'LoadImageFromFile before it, not into weak and strong'
            )
        views, moves = {}, []
        for name in ('weak', 'strong'):
            data = {key: copy.copy(value) for key, value in results.items()}
            view, moved = run(getattr(self, name), data)
            moves.append(moved)
            if view is None:
                return None
            if not {'inputs', 'data_samples'} <= view.keys():
                raise ValueError(
                    f'{name} must end with PackTextRecogInputs or PackTextDetInputs, got an item '
                    f'with {sorted(view)}'
                )
            views[name] = view
        weak = TextRecogDataSample(metainfo=views['weak']['data_samples'].metainfo)
        # An array: MMEngine would copy a tensor of a data sample to the device by itself.
        weak.set_data(dict(image=views['weak']['inputs'].numpy()))
        strong = views['strong']['data_samples']
        if not isinstance(strong, TextRecogDataSample):
            self._add_geometry(weak, between(*moves))
        strong.set_data(dict(weak_view=weak))
        return views['strong']

    def _add_geometry(self, weak: TextRecogDataSample, to_strong: NDArray[Any] | None) -> None:
        if to_strong is not None:
            weak.set_metainfo(dict(to_strong=to_strong))
        if self._unrecorded:
            weak.set_metainfo(dict(unrecorded=self._unrecorded))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(weak={self.weak}, strong={self.strong})'
