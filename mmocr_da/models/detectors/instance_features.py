"""Features of the regions that a two-stage detector proposes."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmocr_da.compat import no_grad


def instance_features(
    detector: Any, features: Sequence[Tensor], samples: Sequence[BaseDataElement], count: int
) -> tuple[Tensor, Tensor]:
    """Compute the features that the box head classifies, of the best proposals of each image.

    The proposals are those of training, ``train_cfg.rpn_proposal``. They depend on no label and
    draw nothing. No gradient reaches their coordinates.

    Args:
        detector: A two-stage detector of MMDetection with one ``bbox_head``.
        features: The input of its heads, maps ``(N, C, H, W)``.
        samples: Data samples of the ``N`` images.
        count: Number of proposals of an image; fewer if there are no more.

    Returns:
        Features ``(M, D)``, and of each its image, ``(M,)`` integers, from 0 and rising.
    """
    head = detector.roi_head.bbox_head
    boxes = [found.bboxes[:count] for found in _propose(detector, features, samples)]
    if not sum(map(len, boxes)):
        nothing = features[0].flatten()[:0].reshape(0, 1).expand(0, head.fc_cls.in_features)
        return nothing, torch.zeros(0, dtype=torch.long, device=features[0].device)
    rois = bbox2roi(boxes)
    extractor = detector.roi_head.bbox_roi_extractor
    x = extractor(features[: extractor.num_inputs], rois)
    if detector.roi_head.with_shared_head:
        x = detector.roi_head.shared_head(x)
    found: list[Tensor] = []

    def keep(module: Any, args: tuple[Tensor, ...]) -> None:
        found.append(args[0])

    with head.fc_cls.register_forward_pre_hook(keep):
        head(x)
    return found[0], rois[:, 0].long()


def _propose(
    detector: Any, features: Sequence[Tensor], samples: Sequence[BaseDataElement]
) -> list[Any]:
    """The proposals of each image, the best first."""
    if not samples:
        return []
    cfg = detector.train_cfg.get('rpn_proposal', detector.test_cfg.rpn)
    with no_grad():
        outputs = detector.rpn_head([x.detach() for x in features])
        proposals: list[Any] = detector.rpn_head.predict_by_feat(
            *outputs, batch_img_metas=[s.metainfo for s in samples], cfg=cfg, rescale=False
        )
    return proposals
