"""MMOCR's wrapper of MMDetection's detectors, for rotated boxes and for learned surrogates."""
from typing import Dict, List, Optional

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmocr.models.textdet.detectors import MMDetWrapper
from mmocr.structures import TextDetDataSample
from torch import Tensor

from mmocr_da.registry import MODELS
from mmocr_da.structures import corners_of

from ..surrogates import LearnedSurrogate, held
from .rotated_nms import nms_rotated


@MODELS.register_module()
class RotatedMMDetWrapper(MMDetWrapper):
    """An ``MMDetWrapper`` whose detector may find boxes of five numbers.

    They leave it as polygons of four points with their scores, so that MMOCR's metric, visualizer
    and inferencer take them as any other.

    If a loss of the detector is a learned surrogate (``LSIoULoss``), iterations that train it train
    nothing else: the detector only says what it finds, and keeps its running statistics.

    Args:
        cfg: The detector, as for ``MMDetWrapper``. Its ``data_preprocessor`` needs
            ``boxtype2tensor=False``.
    """

    def __init__(self, cfg: Dict, **kwargs) -> None:
        if cfg['data_preprocessor'].get('boxtype2tensor', True):
            raise ValueError('data_preprocessor must have boxtype2tensor=False, got True: rotated '
                             'boxes would reach the detector without their type')
        for part in ('train_cfg', 'test_cfg'):
            _use_our_nms(cfg.get(part))
        super().__init__(cfg, **kwargs)

    def forward(self, inputs: Tensor, data_samples: Optional[list] = None, mode: str = 'tensor',
                **kwargs):
        """See ``MMDetWrapper``."""
        learning = []
        if mode == 'loss' and self.training:
            learning = [m for m in self.modules() if isinstance(m, LearnedSurrogate) and m.learns]
        if not learning:
            return super().forward(inputs, data_samples, mode, **kwargs)
        with held(self, but=learning):
            losses = super().forward(inputs, data_samples, mode, **kwargs)
        # Without a box to learn from, the head does not ask the loss.
        losses['loss_nothing'] = sum(p.sum() for m in learning for p in m.parameters()) * 0
        return losses

    def adapt_predictions(self, data: List[DetDataSample],
                          data_samples: List[TextDetDataSample]) -> List[TextDetDataSample]:
        """See ``MMDetWrapper``; ``bboxes`` may be ``(N, 5)``."""
        if not data or data[0].pred_instances.bboxes.size(-1) != 5:
            return super().adapt_predictions(data, data_samples)
        for found, sample in zip(data, data_samples):
            found = found.pred_instances
            sample.pred_instances = InstanceData(
                polygons=list(corners_of(found.bboxes).flatten(1).cpu().numpy()),
                scores=found.scores.cpu())
        return data_samples


def _use_our_nms(cfg: Optional[dict]) -> None:
    """Put :func:`nms_rotated` in the place of its name, which MMCV would take for its own."""
    for key, value in (cfg or {}).items():
        if isinstance(value, dict):
            if value.get('type') == 'nms_rotated':
                value['type'] = nms_rotated
            _use_our_nms(value)
