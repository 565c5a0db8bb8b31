"""A weak and a strong view of one image (FixMatch, Sohn et al., NeurIPS 2020, section 2.1)."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose
from mmocr.structures import TextRecogDataSample

from mmocr_da.registry import TRANSFORMS


@TRANSFORMS.register_module()
class WeakStrongViews(BaseTransform):
    """Run two pipelines on a loaded image, and return the strong view with the weak one attached.

    The item is that of ``strong``. Its data sample has the field ``weak_view``, a data sample with
    the metainfo of the weak view, no text, and its pixels as ``image``, an array ``(C, H, W)``.
    The views need not match in size or geometry: what an objective takes from one to the other is
    a text.

    Args:
        weak: The pipeline of the view that a teacher sees, usually the test pipeline after the
            image is loaded.
        strong: The pipeline of the view that is learned from. Both end with
            ``PackTextRecogInputs``.
    """

    def __init__(self, weak: Sequence[Any], strong: Sequence[Any]) -> None:
        self.weak = Compose(weak)
        self.strong = Compose(strong)

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
        views = {}
        for name in ('weak', 'strong'):
            view = getattr(self, name)({key: copy.copy(value) for key, value in results.items()})
            if view is None:
                return None
            if not {'inputs', 'data_samples'} <= view.keys():
                raise ValueError(
                    f'{name} must end with PackTextRecogInputs, got an item with {sorted(view)}'
                )
            views[name] = view
        weak = TextRecogDataSample(metainfo=views['weak']['data_samples'].metainfo)
        # An array: MMEngine would copy a tensor of a data sample to the device by itself.
        weak.set_data(dict(image=views['weak']['inputs'].numpy()))
        views['strong']['data_samples'].set_data(dict(weak_view=weak))
        return views['strong']

    def __repr__(self) -> str:
        return f'{type(self).__name__}(weak={self.weak}, strong={self.strong})'
