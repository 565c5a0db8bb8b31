"""LS-IoU: the IoU of rotated boxes as a loss (Patel et al., ECCV 2020, section 4.3)."""

from typing import Any

import torch
from mmengine.logging import MessageHub
from torch import Tensor

from mmocr_da.registry import MODELS

from ..distributed import mean_of_rank
from ..surrogates import RotatedIoUSurrogate
from .rotated_box_loss import RotatedBoxLoss


@MODELS.register_module()
class LSIoULoss(RotatedBoxLoss):
    """The learned ``1 - IoU`` of a detector's boxes and their labels.

    It is meant for post-tuning and replaces the regression loss of any head with
    ``reg_decoded_bbox=True``, also for boxes of four numbers. Each iteration trains either the
    surrogate or the detector. In an iteration of the surrogate this is the surrogate's loss, and
    :class:`~mmocr_da.models.detectors.SurrogateMMDetWrapper` freezes all else; other wrappers
    train the detector by its other losses. In several processes DDP needs
    ``find_unused_parameters=True`` in the config.

    The log shows ``lsiou_error_model`` and ``lsiou_error_generated``, the mean of ``|e_hat - e|``
    on predictions and on generated pairs; ``lsiou_loss_fit`` and ``lsiou_loss_gradient``, the terms
    of eq. 6; ``lsiou_rank_correlation`` of ``e_hat`` and ``e`` on both together; ``lsiou_iou``, the
    true mean IoU of the predictions.

    Args:
        surrogate: Config of a :class:`RotatedIoUSurrogate`.
        kwargs: See :class:`~mmocr_da.models.losses.RotatedBoxLoss`.

    Raises:
        ValueError: If the surrogate does not alternate with the detector.
    """

    def __init__(self, surrogate: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.surrogate: RotatedIoUSurrogate = MODELS.build(
            dict(type='mmocr_da.RotatedIoUSurrogate', **surrogate)
        )
        if not self.surrogate.alternate:
            raise ValueError(
                'surrogate.alternate must be True in LSIoULoss, got False: a head has room for the '
                'loss of the detector or of the surrogate; LSEDLoss of recognizers can have both'
            )

    @property
    def moves_boxes(self) -> bool:
        return not (self.training and self.surrogate.learns)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """See :class:`~mmocr_da.models.losses.RotatedBoxLoss`.

        In an iteration of the surrogate the result is its loss, a scalar for every reduction.
        """
        if self.moves_boxes:
            return super().forward(pred, target, weight, avg_factor, reduction_override)
        _, boxes, labels = self.pairs(pred.detach(), target, weight)
        # The wrapper has disabled gradients to freeze the detector.
        with torch.enable_grad(), torch.autocast(pred.device.type, enabled=False):
            # The head of a process without positive boxes does not call its loss, so a process must
            # not wait for another one here: each takes its own mean, as in MMDetection's losses.
            out = self.surrogate.fit(*self._encode(boxes, labels), mean=mean_of_rank)
            self._log(out)
            return out['loss_fit'] + out['loss_gradient']

    def rows(self, pred: Tensor, target: Tensor) -> Tensor:
        z, y = self._encode(pred, target)
        estimate = self.surrogate.frozen_distance(z, y)
        if self.training and len(estimate):
            e, e_hat = self.surrogate.metric(z.detach(), y), estimate.detach()
            self._log(dict(self.surrogate.observe(e_hat, e), iou=1 - e.mean()))
        return estimate

    def _encode(self, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        dtype = next(self.surrogate.parameters()).dtype
        z, y = (self.surrogate.encode(b, labels).to(dtype) for b in (boxes, labels))
        return z, y

    def _log(self, values: dict[str, Tensor]) -> None:
        # A head returns only the loss of its boxes, so other values must go to the log directly.
        hub = MessageHub.get_current_instance()
        # One copy from the device for all.
        fetched = torch.stack([value.detach() for value in values.values()]).tolist()
        for name, value in zip(values, fetched):
            hub.update_scalar(f'train/lsiou_{name}', value)
