"""MMDetection's heads with a loss of boxes that is balanced against another one."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads import Shared2FCBBoxHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from mmocr_da.arguments import check_config, warn_unused
from mmocr_da.registry import MODELS

from ..losses.gradient_balance import GradientBalance

#: Of the weights that only training needs.
PREFIX = 'balance.'


class _BalancedHead:
    """What both heads share; before the head of the host in the order of the bases."""

    #: Class of the host.
    _plain: str
    # Of the host.
    bbox_coder: Any
    loss_bbox: Any
    reg_decoded_bbox: bool
    training: bool

    def __init__(self, *args: Any, balance: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_config('balance', balance)
        self.balance: Any = None if balance is None else GradientBalance(**balance)
        weight = getattr(self.loss_bbox, 'loss_weight', 1.0)
        if balance is not None and weight != 1:
            warn_unused(
                'loss_bbox.loss_weight', weight, 'balance.reference.loss_weight is the weight'
            )

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> dict[str, Any]:
        """Return the config of the head of the host (:mod:`mmocr_da.plain`)."""
        return dict({k: v for k, v in cfg.items() if k != 'balance'}, type=f'mmdet.{cls._plain}')

    def plain_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of the head of the host (:mod:`mmocr_da.plain`)."""
        return {k: v for k, v in state_dict.items() if not k.startswith(PREFIX)}

    @property
    def _balances(self) -> bool:
        """Whether the loss of this iteration is one of boxes: a surrogate may learn instead."""
        moves = getattr(self.loss_bbox, 'moves_boxes', True)
        return self.training and self.balance is not None and moves

    def _reference(
        self, offsets: Tensor, boxes: Tensor, targets: Tensor, weights: Tensor, **options: Any
    ) -> Tensor:
        """Compute the reference loss of rows ``(N, 4)`` or ``(N, 5)``.

        Args:
            offsets: What the head predicts.
            boxes: Anchors or proposals.
            targets: Labels of the loss of the head, boxes or offsets.
            weights: Of the same shape. Rows with weight 0 are left out.
            options: Of the loss.
        """
        rows = (weights > 0).any(1)
        targets = targets[rows]
        if self.reg_decoded_bbox:
            targets = self.bbox_coder.encode(boxes[rows], targets)
        return self.balance.reference(offsets[rows], targets, weights[rows], **options)


@MODELS.register_module()
class BalancedBBoxHead(_BalancedHead, Shared2FCBBoxHead):
    """A ``Shared2FCBBoxHead`` that can balance its ``loss_bbox``, for a detector of text.

    The log shows the factor of the loss as ``bbox_factor``.

    Args:
        balance: Arguments of :class:`~mmocr_da.models.losses.GradientBalance`; None leaves the loss
            as it is.
        args, kwargs: See ``Shared2FCBBoxHead``.

    Raises:
        ValueError: If there are several classes.
    """

    _plain = 'Shared2FCBBoxHead'

    def __init__(self, *args: Any, balance: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, balance=balance, **kwargs)
        if balance is not None and self.num_classes != 1 and not self.reg_class_agnostic:
            raise ValueError(
                'balance needs num_classes=1 or reg_class_agnostic=True, got '
                f'num_classes={self.num_classes} with offsets of each class'
            )

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """See ``BBoxHead``."""
        targets = labels, label_weights, bbox_targets, bbox_weights
        if not self._balances:
            return super().loss(cls_score, bbox_pred, rois, *targets, reduction_override)
        bbox_pred = bbox_pred.float()  # half precision has no gradients below 6e-8
        losses = super().loss(cls_score, bbox_pred, rois, *targets, reduction_override)
        reference = self._reference(
            bbox_pred, rois[:, 1:], bbox_targets, bbox_weights, avg_factor=len(bbox_targets)
        )
        factor = self.balance(reference, losses['loss_bbox'].sum(), [bbox_pred])
        return dict(losses, loss_bbox=factor * losses['loss_bbox'], bbox_factor=factor)


@MODELS.register_module()
class BalancedRPNHead(_BalancedHead, RPNHead):
    """An ``RPNHead`` that can balance its ``loss_bbox``, with one factor for all levels.

    The log shows the factor as ``rpn_bbox_factor``.

    Args:
        balance: Arguments of :class:`~mmocr_da.models.losses.GradientBalance`; None leaves the loss
            as it is.
        args, kwargs: See ``RPNHead``.
    """

    _plain = 'RPNHead'

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchors: Any,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: float,
    ) -> tuple[Tensor, Tensor]:
        """See ``AnchorHead``; of one level."""
        targets = labels, label_weights, bbox_targets, bbox_weights
        if self._balances:
            size = self.bbox_coder.encode_size
            self._references.append(
                self._reference(
                    bbox_pred.permute(0, 2, 3, 1).reshape(-1, size),
                    get_box_tensor(anchors).reshape(-1, size),
                    bbox_targets.reshape(-1, size),
                    bbox_weights.reshape(-1, size),
                    avg_factor=avg_factor,
                )
            )
        return super().loss_by_feat_single(cls_score, bbox_pred, anchors, *targets, avg_factor)

    def loss_by_feat(
        self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """See ``RPNHead``."""
        if not self._balances:
            return super().loss_by_feat(cls_scores, bbox_preds, *args, **kwargs)
        bbox_preds = [x.float() for x in bbox_preds]
        self._references: list[Tensor] = []
        losses = super().loss_by_feat(cls_scores, bbox_preds, *args, **kwargs)
        found = losses['loss_rpn_bbox']
        references, self._references = self._references, []
        factor = self.balance(sum(references), sum(found), bbox_preds)
        return dict(losses, loss_rpn_bbox=[factor * x for x in found], rpn_bbox_factor=factor)
