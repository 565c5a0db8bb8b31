"""What the objectives of detectors have in common whose labels come from an EMA teacher."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..weak_batch import weak_batch
from .detection_features import DetectionFeatures
from .teacher_objective import TeacherObjective

#: Number of batches without a label after which a warning says so.
PATIENCE = 100


class DetectorTeacherObjective(TeacherObjective):
    """An objective of detectors with a teacher, which sees the weak views of the target.

    Args:
        *args: See :class:`TeacherObjective`.
    """

    adapts = 'detector'

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._batches, self._some = 0, torch.tensor(False)

    def _weak_views(self, target: DetectionFeatures) -> tuple[Tensor, Sequence[BaseDataElement]]:
        """The images that the teacher sees, preprocessed, and samples with their metainfo.

        Raises:
            ValueError: If it is not known where the points of one view are in the other.
        """
        data = weak_batch(target.samples)
        if data is None:
            return target.images, target.samples
        weak = [
            type(strong)(metainfo=view.metainfo)
            for strong, view in zip(target.samples, data['data_samples'])
        ]
        for view, strong in zip(weak, target.samples):
            _check_geometry(view, strong)
        batch = self._model[0].data_preprocessor(
            dict(inputs=data['inputs'], data_samples=weak), False
        )
        return batch['inputs'], weak

    def _zero_of_weights(self, like: Tensor) -> Tensor:
        """0, connected to all weights that learn, as the loss of labels is.

        Else a process without a label has no gradient for the head, and DDP waits for it for ever.
        """
        named = self._model[0].named_parameters()
        weights = [p for k, p in named if p.requires_grad and not k.startswith('objectives.')]
        return torch.stack([like.new_zeros(()), *(p.sum() for p in weights)]).sum() * 0

    def _watch(self, images: int, learned: bool | Tensor, what: str) -> None:
        """Warn if no ``what`` of the target images has become a label for long.

        The device is asked once in ``PATIENCE`` batches.
        """
        if not (self.training and images):
            return
        self._batches += 1
        now = torch.as_tensor(learned)
        self._some = now | self._some.to(now.device)
        if self._batches < PATIENCE:
            return
        if not self._some:
            print_log(
                f'{type(self).__name__}: no {what} became a label in the last {PATIENCE} batches. '
                f'{self.keep.advice()}, or start from a better detector (load_from)',
                logger='current',
                level=logging.WARNING,
            )
        self._batches, self._some = 0, torch.tensor(False)


def _check_geometry(weak: BaseDataElement, strong: BaseDataElement) -> None:
    """Raise a ValueError if it is not known where the points of one view are in the other."""
    if names := weak.get('unrecorded'):
        raise ValueError(
            f'{", ".join(names)} in WeakStrongViews may move pixels and does not record how, so '
            "the teacher's predictions cannot be carried to the student's view: use MMDetection's, "
            'such as mmdet.Resize, mmdet.RandomFlip, mmdet.RandomCrop or mmdet.Rotate, or put it '
            'before WeakStrongViews'
        )
    sizes = [tuple(sample.get('img_shape', ()))[:2] for sample in (weak, strong)]
    if 'to_strong' not in weak and sizes[0] != sizes[1]:
        raise ValueError(
            'the weak and the strong view of a detector need the same size where nothing between '
            f'them is recorded, got {sizes[0]} and {sizes[1]} for {strong.get("img_path")}: put '
            'all steps that change it before WeakStrongViews'
        )
