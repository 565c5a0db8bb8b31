"""MMOCR's wrapper of MMDetection's detectors, for learned surrogates and for rotated boxes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmocr.models.textdet.detectors import MMDetWrapper
from mmocr.structures import TextDetDataSample
from torch import Tensor

from mmocr_da.arguments import check_choice
from mmocr_da.plain import base_cfg
from mmocr_da.registry import MODELS
from mmocr_da.rng import seed_of_iteration, torch_seeded
from mmocr_da.structures import corners_of

from ..freezing import frozen
from ..surrogates import LearnedSurrogate
from .check_heads import check_heads
from .rotated_nms import nms_rotated


@MODELS.register_module()
class SurrogateMMDetWrapper(MMDetWrapper):
    """An ``MMDetWrapper`` for detectors with learned losses, such as a Mask R-CNN.

    If a loss of the detector is a learned surrogate (``LSIoULoss``), the iterations that train the
    surrogate freeze the detector, including its running statistics.

    In training, the boxes that MMDetection's samplers draw depend only on seed, iteration and rank,
    so a resumed run draws the same boxes as an uninterrupted one.

    Args:
        cfg: The detector, as for ``MMDetWrapper``.
        kwargs: See ``MMDetWrapper``. ``text_repr_type='box'`` predicts the boxes of a Mask R-CNN
            instead of its masks; such a detector cannot be exported.

    Raises:
        ValueError: If a head and its loss disagree.
    """

    def __init__(self, cfg: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(cfg, **kwargs)
        check_choice('text_repr_type', self.text_repr_type, ('poly', 'quad', 'box'))
        check_heads(self.wrapped_model)

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> dict[str, Any]:
        """Return the config of an ``MMDetWrapper`` (:mod:`mmocr_da.plain`)."""
        if cfg.get('text_repr_type') == 'box':
            raise ValueError(
                "MMOCR predicts the masks of a Mask R-CNN: set text_repr_type='poly' in the model "
                "to export it, got 'box'"
            )
        return base_cfg(cls, cfg)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """See ``MMDetWrapper``."""
        if mode != 'loss' or not self.training:
            return super().forward(inputs, data_samples, mode, **kwargs)
        learning = [m for m in self.modules() if isinstance(m, LearnedSurrogate) and not m.teaches]
        with _draws_of_iteration():
            if learning:
                return self._surrogate_losses(learning, inputs, data_samples, **kwargs)
            return super().forward(inputs, data_samples, mode, **kwargs)

    def _surrogate_losses(
        self,
        learning: list[LearnedSurrogate],
        inputs: Tensor,
        data_samples: list[Any] | None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        with frozen(self, but=learning):
            losses = super().forward(inputs, data_samples, 'loss', **kwargs)
        # Without positive boxes the head does not call the surrogate's loss, so a zero connects it.
        losses['loss_nothing'] = sum(p.sum() for m in learning for p in m.parameters()) * 0
        return losses

    def adapt_predictions(
        self, data: list[DetDataSample], data_samples: list[TextDetDataSample]
    ) -> list[TextDetDataSample]:
        """Convert predictions as ``MMDetWrapper``, or their boxes."""
        if self.text_repr_type == 'box':
            for sample in data:
                sample.pred_instances.pop('masks', None)
        return super().adapt_predictions(data, data_samples)


@MODELS.register_module()
class RotatedMMDetWrapper(SurrogateMMDetWrapper):
    """An ``MMDetWrapper`` for detectors that predict boxes of five numbers.

    The boxes are returned as polygons of four points with their scores, for MMOCR's metric,
    visualizer and inferencer. Learned losses work as in :class:`SurrogateMMDetWrapper`.

    Args:
        cfg: The detector, as for ``MMDetWrapper``. Its ``data_preprocessor`` needs
            ``boxtype2tensor=False``.

    Raises:
        ValueError: If the preprocessor drops the type of boxes, or a head and its loss disagree.
    """

    #: See :mod:`mmocr_da.plain`.
    not_exportable = (
        'MMOCR has no rotated boxes, so there is no plain model of a rotated '
        'detector to export; keep mmocr_da installed and use the config and the '
        'checkpoint as they are'
    )

    def __init__(self, cfg: dict[str, Any], **kwargs: Any) -> None:
        if cfg['data_preprocessor'].get('boxtype2tensor', True):
            raise ValueError(
                'data_preprocessor must have boxtype2tensor=False, got True: rotated '
                'boxes would reach the detector without their type'
            )
        for part in ('train_cfg', 'test_cfg'):
            _use_our_nms(cfg.get(part))
        super().__init__(cfg, **kwargs)

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> dict[str, Any]:
        """Refuse: the one of the base class is for other detectors."""
        raise ValueError(cls.not_exportable)

    def adapt_predictions(
        self, data: list[DetDataSample], data_samples: list[TextDetDataSample]
    ) -> list[TextDetDataSample]:
        """Convert predictions as ``MMDetWrapper``; ``bboxes`` may be ``(N, 5)``."""
        if not data or data[0].pred_instances.bboxes.size(-1) != 5:
            return super().adapt_predictions(data, data_samples)
        # One copy from the device for all images.
        found = [sample.pred_instances for sample in data]
        corners = corners_of(torch.cat([f.bboxes for f in found])).flatten(1)
        scores = torch.cat([f.scores for f in found])
        fetched = torch.cat([corners, scores[:, None]], 1).cpu().split([len(f) for f in found])
        for rows, sample in zip(fetched, data_samples):
            sample.pred_instances = InstanceData(
                polygons=list(rows[:, :8].numpy()), scores=rows[:, 8]
            )
        return data_samples


@contextmanager
def _draws_of_iteration() -> Iterator[None]:
    """Seed the CPU's random numbers with the iteration of the running MMEngine runner."""
    seed = seed_of_iteration()
    if seed is None:
        yield
        return
    with torch_seeded(seed):
        yield


def _use_our_nms(cfg: dict[str, Any] | None) -> None:
    """Replace the name ``nms_rotated`` by our function; MMCV would resolve it to its own."""
    for key, value in (cfg or {}).items():
        if isinstance(value, dict):
            if value.get('type') == 'nms_rotated':
                value['type'] = nms_rotated
            _use_our_nms(value)
