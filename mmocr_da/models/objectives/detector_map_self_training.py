"""Self-training of detectors that segment text, pixel by pixel."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmocr_da.arguments import check_number
from mmocr_da.compat import no_grad
from mmocr_da.registry import MODELS

from ..distributed import sum_per_rank
from .detection_features import DetectionFeatures
from .detector_teacher import DetectorTeacherObjective


@MODELS.register_module()
class DetectorMapSelfTraining(DetectorTeacherObjective):
    """Learns the pixels of the target of which a teacher is sure; for heads that segment text.

    The heads of DBNet, DBNet++, PANet, PSENet and TextSnake predict for each pixel the probability
    of text, in ``K`` maps. Those of the teacher, a moving average of the detector as in
    :class:`DetectorSelfTraining`, say which pixels are text, ``p >= threshold``, and which are
    background, ``p <= 1 - threshold``. All others are not learned. For an image and a map, with the
    student's logits ``z`` of its strong view::

        L = mean over these pixels of softplus(-z) for text and softplus(z) for background
        loss = weight * mean over the target images of the mean of L over their maps

    which are the binary cross-entropies. Every pixel counts alike: if text counted more, for it is
    rare, the student would find more of it than its teacher, and the teacher follows. An image of
    which no pixel is sure to be text teaches nothing.

    Regions are not made, so that no postprocessing lets them grow, and a text that the teacher is
    not sure of is no background. The other outputs of a head (thresholds, embeddings, widths) learn
    from the source alone.

    The two views are those of :class:`DetectorSelfTraining`; where they differ in geometry, the
    teacher's maps are carried to the student's view, and pixels that the teacher has not seen are
    not learned.

    The log shows, for the target images of a batch, ``text`` and ``kept``, the shares of pixels
    that are learned as text and at all, ``learned_images``, the share of images that teach, and
    ``weight``.

    Args:
        weight, schedule, ramp, decay, predict_with: See :class:`TeacherObjective`.
        threshold: Probability from which a pixel is text, above 0.5 and at most 1.
    """

    name = 'map_self_training'

    def __init__(
        self,
        weight: float = 1.0,
        schedule: str = 'constant',
        ramp: int = 0,
        threshold: float = 0.8,
        decay: float = 0.999,
        predict_with: str = 'teacher',
    ) -> None:
        check_number('threshold', threshold, above=0.5, most=1, why='it is a probability of text')
        super().__init__(weight, schedule, ramp, threshold, None, decay, predict_with)
        self.threshold = threshold

    def attach(self, detector: Any) -> None:
        """Create the teacher.

        Raises:
            ValueError: If the head of the detector has no maps.
        """
        detector.check_text_maps('DetectorMapSelfTraining')
        super().attach(detector)

    # An objective of detectors gets DetectionFeatures, one of recognizers gets DomainFeatures.
    def forward(  # type: ignore[override]
        self, source: DetectionFeatures, target: DetectionFeatures
    ) -> dict[str, Tensor]:
        """Compute the loss of the pixels that the teacher is sure of, and log values."""
        weight, count = self._weight(), len(target.samples)
        loss = target.zero()
        # All ranks must call it, also without an image.
        images = sum_per_rank(loss.detach().new_full((), count)).clamp(min=1e-12)
        shares = loss.detach().float().new_zeros(3)
        if count:
            logits = target.text_maps()
            maps = self.predict_maps(target, (logits.shape[-2], logits.shape[-1]))
            valid = target.valid_positions(logits)[:, None]
            text = (maps >= self.threshold) & valid
            background = (maps <= 1 - self.threshold) & valid
            learned = text[:, 0].flatten(1).any(1)
            found = _mean_cross_entropy(logits, text, background).mean(1)
            loss = loss + weight * (found * learned).sum() / images
            pixels = valid.sum()
            shares = torch.stack(
                [text[:, 0].sum() / pixels, (text | background)[:, 0].sum() / pixels]
                + [learned.float().mean()]
            )
        # Parts of the head that predict other things need a gradient in each process.
        loss = loss + self._zero_of_weights(loss)
        self._learned()
        self._watch(count, shares[2] > 0, 'pixel')
        names = ('text', 'kept', 'learned_images')
        log = dict(zip(names, shares.unbind()), weight=shares.new_tensor(weight))
        return self.named(dict(loss=loss, **log))

    def predict_maps(self, target: DetectionFeatures, size: tuple[int, int]) -> Tensor:
        """Return the teacher's probabilities of text for the target images.

        Args:
            target: At least one image.
            size: Height and width ``h, w`` of the maps of the images that the student sees.

        Returns:
            ``(N, K, h, w)``; 0.5 where the teacher has not seen the image.
        """
        model = self._model[0]
        images, samples = self._weak_views(target)
        with no_grad(), self.teacher.replacing(model):
            maps: Tensor = model.predict_text_maps(images)
        seen = DetectionFeatures({}, images, samples).valid_positions(maps)
        maps = torch.where(seen[:, None], maps, 0.5)
        if all(sample.get('to_strong') is None for sample in samples) and maps.shape[2:] == size:
            return maps
        scale = _scale(images, maps.shape[-2:])
        moved_scale = _scale(target.images, size)
        same = torch.eye(3).numpy()
        moved = [
            model.move_text_maps(found, sample.get('to_strong', same), scale, moved_scale, size)
            for found, sample in zip(maps, samples)
        ]
        return torch.stack(moved)


def _mean_cross_entropy(logits: Tensor, text: Tensor, background: Tensor) -> Tensor:
    """Mean over the pixels of text and background, ``(N, K)``; 0 if there is none."""
    total = F.softplus(-logits) * text + F.softplus(logits) * background
    count = (text | background).flatten(2).sum(2)
    return total.flatten(2).sum(2) / count.clamp(min=1)


def _scale(images: Tensor, size: Any) -> tuple[float, float]:
    """Width and height of a position of maps in pixels of the images."""
    return images.size(-1) / size[1], images.size(-2) / size[0]
