"""Self-training of detectors (Liu et al., "Unbiased Teacher", ICLR 2021)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

from mmocr_da.arguments import check_list
from mmocr_da.compat import no_grad
from mmocr_da.registry import MODELS

from ..distributed import sum_per_rank
from .detection_features import DetectionFeatures
from .detector_teacher import DetectorTeacherObjective


@MODELS.register_module()
class DetectorSelfTraining(DetectorTeacherObjective):
    """Learns regions of the target that a teacher predicts with confidence; for every detector.

    The teacher is a moving average of the detector, ``decay * teacher + (1 - decay) * student``
    after each step of the optimizer. It predicts the target as in testing, with the detector's own
    postprocessing. Regions that it predicts with enough confidence become the labels of the image,
    and the student learns them by the detector's own labels and loss::

        loss = weight * share of images with a label * L(student(strong view), regions)

    The share is one of the target images of all processes. ``L`` is a mean over the labels of its
    own process, as all losses of MMOCR's detectors are.

    Regions with less confidence are ignored: they are neither text nor background, where the loss
    has ignored regions, as all of MMOCR's do. For those of MMDetection, set ``ignore_iof_thr`` of
    the assigners. What the teacher's postprocessing drops (``min_text_score``, ``score_thr``) is
    background. An image without a confident region teaches nothing. Several processes need no
    ``find_unused_parameters``, unless ``skip_losses`` and ``supervised_weight=0`` leave a part of
    the detector without any loss.

    It differs from Unbiased Teacher, which is for two-stage detectors: all losses are learned,
    unless ``skip_losses`` names some, there is no focal loss, and the start is a detector that was
    trained on the source.

    :class:`mmocr_da.datasets.WeakStrongViews`, as the last step of the target's pipeline, gives two
    views. What differs between them may move pixels (flip, resize, crop, rotate, shear, translate),
    by MMDetection's transforms, which record how: the teacher's regions are carried to the
    student's view, and cut at its edges. Without it the teacher sees the image that the student
    sees.

    The log shows, for the target images of a batch, ``regions`` (of the teacher, per image),
    ``kept`` (the share of them that becomes labels), ``learned_images`` (the share with a label),
    ``confidence`` (the mean of the regions), ``weight`` and ``threshold``.

    Args:
        weight, schedule, ramp, keep, decay, predict_with: See :class:`TeacherObjective`. A rule
            that compares with the source cannot be used.
        threshold: Regions are kept if they are predicted with at least this confidence, 0 to 1; 0.7
            in Unbiased Teacher.
        skip_losses: Names of the detector's losses that are not learned from the teacher, such as
            ``('loss_rpn_bbox', 'loss_bbox')`` in Unbiased Teacher: its confidence says how sure a
            region is text, and not where it ends.
    """

    name = 'self_training'

    def __init__(
        self,
        weight: float = 1.0,
        schedule: str = 'constant',
        ramp: int = 0,
        threshold: float | None = None,
        keep: dict[str, Any] | None = None,
        decay: float = 0.999,
        predict_with: str = 'teacher',
        skip_losses: Sequence[str] = (),
    ) -> None:
        check_list('skip_losses', skip_losses, str, 'names')
        if keep is None and threshold is None:
            threshold = 0.7
        super().__init__(weight, schedule, ramp, threshold, keep, decay, predict_with)
        if self.keep.needs_source:
            raise ValueError(
                f'{type(self.keep).__name__} compares with words of the source, which detectors do '
                'not have; use threshold, or ConfidenceQuantile'
            )
        self.skip_losses = frozenset(skip_losses)

    def attach(self, detector: nn.Module) -> None:
        """Create the teacher.

        Raises:
            ValueError: If the detector has no loss or cannot predict.
        """
        head = getattr(detector, 'det_head', None)
        for name in ('module_loss', 'postprocessor') if head is not None else ():
            if getattr(head, name) is None:
                raise ValueError(
                    f'DetectorSelfTraining needs a head with a {name}, got a '
                    f'{type(head).__name__} without one'
                )
        super().attach(detector)

    # An objective of detectors gets DetectionFeatures, one of recognizers gets DomainFeatures.
    def forward(  # type: ignore[override]
        self, source: DetectionFeatures, target: DetectionFeatures
    ) -> dict[str, Tensor]:
        """Compute the detector's losses of the kept regions, and log values."""
        regions = self.predict_regions(target)
        scores = [found.scores.tolist() for found in regions]
        flat = [score for image in scores for score in image]
        least = self.keep(flat, lambda: torch.zeros(0))
        kept = [torch.tensor([s >= least for s in image], dtype=torch.bool) for image in scores]
        rows = [i for i, mask in enumerate(kept) if mask.any()]
        weight = self._weight()
        loss = target.zero()
        # All ranks must call it, also without an image.
        images = sum_per_rank(loss.detach().new_full((), len(regions))).clamp(min=1e-12)
        if rows:
            labelled = [
                self._model[0].with_labels(target.samples[i], regions[i], kept[i]) for i in rows
            ]
            loss = self._learned_loss(target.labelled_loss(rows, labelled))
            loss = loss * (weight * len(rows)) / images
        else:
            loss = loss + self._zero_of_weights(loss)
        self._learned()
        self._watch(len(regions), bool(rows), 'region')
        values = dict(
            regions=len(flat) / max(len(regions), 1),
            kept=sum(int(mask.sum()) for mask in kept) / max(len(flat), 1),
            learned_images=len(rows) / max(len(regions), 1),
            confidence=sum(flat) / max(len(flat), 1),
            weight=weight,
            threshold=min(least, 1.0),
        )
        like = loss.detach().float()
        log = {key: like.new_full((), value) for key, value in values.items()}
        return self.named(dict(loss=loss, **log))

    def _learned_loss(self, losses: dict[str, Tensor]) -> Tensor:
        if unknown := sorted(self.skip_losses - losses.keys()):
            raise ValueError(
                f'skip_losses must be names of losses of the detector, {sorted(losses)}, got '
                f'{unknown}'
            )
        learned = [v for k, v in losses.items() if k not in self.skip_losses]
        if not learned:
            raise ValueError(f'skip_losses leaves no loss to learn, got {sorted(self.skip_losses)}')
        return torch.stack(learned).sum()

    def predict_regions(self, target: DetectionFeatures) -> list[InstanceData]:
        """Return the teacher's regions of the target images, in the pixels of the images."""
        if not len(target.samples):
            return []
        model = self._model[0]
        images, samples = self._weak_views(target)
        with no_grad(), self.teacher.replacing(model):
            found: list[InstanceData] = model.predict_regions(images, samples)
        return [
            self._carried(regions, weak, strong)
            for regions, weak, strong in zip(found, samples, target.samples)
        ]

    def _carried(
        self, regions: InstanceData, weak: BaseDataElement, strong: BaseDataElement
    ) -> InstanceData:
        """The regions of a weak view in the pixels of the strong one."""
        matrix = weak.get('to_strong')
        if matrix is None:
            return regions
        size = tuple(strong.img_shape)[:2]
        moved: InstanceData = self._model[0].move_regions(regions, matrix, size)
        return moved
