"""Text regions against their labels at several IoUs, image by image."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmocr.evaluation.metrics import HmeanIOUMetric
from numpy.typing import ArrayLike, NDArray

from mmocr_da.arguments import check_number, check_numbers, check_text
from mmocr_da.registry import METRICS

from .intervals import Estimate, sums_interval

#: IoUs of the mean F1, as COCO has them for its mean precision.
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class MatchedRegions(NamedTuple):
    """Regions of N images.

    >>> regions = MatchedRegions([np.array([0.9, 0.6]), np.array([])], [2, 1], [2, 1])
    >>> round(regions.f1(0.5), 3), round(regions.f1(0.7), 3), regions.mean_iou
    (0.667, 0.333, 0.75)
    """

    #: IoUs of the predictions of each image with the label that they found.
    ious: Sequence[NDArray[Any]]
    #: Number of predictions of each image, ``(N,)``.
    predicted: ArrayLike
    #: Number of labels of each image, ``(N,)``.
    labelled: ArrayLike

    @property
    def counts(self) -> NDArray[Any]:
        """Predictions and labels together, ``(N,)``."""
        return np.asarray(self.predicted) + np.asarray(self.labelled)

    def found(self, *ious: float) -> NDArray[Any]:
        """Count the labels found at an IoU, ``(N,)``; of several IoUs the mean."""
        return np.array([np.mean([(found > iou).sum() for iou in ious]) for found in self.ious])

    def f1(self, *ious: float) -> float:
        """Compute F1 at an IoU; of several IoUs the mean."""
        return float(2 * self.found(*ious).sum() / max(self.counts.sum(), 1))

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the predictions that found a label; 0 without any."""
        above, below = self.iou_sums
        return float(above.sum() / max(below.sum(), 1))

    @property
    def iou_sums(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Sum of IoUs and number of found labels of each image, ``(N,)`` each."""
        return np.array([x.sum() for x in self.ious]), np.array([len(x) for x in self.ious])


def f1_difference(
    regions: Sequence[MatchedRegions], baseline: Sequence[MatchedRegions], *ious: float
) -> Estimate:
    """Estimate by how much F1 is above that of a baseline, with its 95 % interval.

    Args:
        regions: Regions of the same images in each of S runs, of which the mean counts.
        baseline: The same of another detector.
        ious: F1 at this IoU; of several IoUs the mean.
    """

    def sums(runs: Sequence[MatchedRegions]) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.stack([2 * r.found(*ious) for r in runs]), np.stack([r.counts for r in runs])

    return sums_interval(sums(regions), sums(baseline))


def mean_iou_difference(
    regions: Sequence[MatchedRegions], baseline: Sequence[MatchedRegions]
) -> Estimate:
    """Estimate by how much the mean IoU is above that of a baseline; see :func:`f1_difference`."""

    def sums(runs: Sequence[MatchedRegions]) -> tuple[NDArray[Any], NDArray[Any]]:
        above, below = zip(*(r.iou_sums for r in runs))
        return np.stack(above), np.stack(below)

    return sums_interval(sums(regions), sums(baseline))


def match_regions(iou: NDArray[Any], least: float = 0.5) -> NDArray[Any]:
    """Match labels and predictions one to one, those with the largest IoU first.

    Args:
        iou: IoUs of all labels and all predictions, ``(L, P)``.
        least: IoU that a match must exceed.

    Returns:
        The IoUs of the matches, the largest first. Those above another IoU are the matches at that
        one. If labels do not overlap, MMOCR's metric finds as many, though perhaps others.

    >>> match_regions(np.array([[0.9, 0.6], [0.0, 0.4]])).tolist()
    [0.9]
    """
    rows, columns = np.nonzero(iou > least)
    values = iou[rows, columns]
    matches, free = [], np.ones(sum(iou.shape), bool)
    for i in np.argsort(-values, kind='stable'):
        ends = [rows[i], iou.shape[0] + columns[i]]
        if free[ends].all():
            free[ends] = False
            matches.append(values[i])
    return np.array(matches)


@METRICS.register_module()
class BoxQualityMetric(HmeanIOUMetric):
    """How well regions fit their labels: F1 at several IoUs, and the mean IoU.

    =====================  ==========================================================
    key                    meaning
    =====================  ==========================================================
    ``f1``                 mean F1 at the IoUs 0.5, 0.55, ..., 0.95
    ``f1_50``, ...         F1 at the IoU 0.5, and so on
    ``recall_50``, ...     share of labels that are found
    ``precision_50``, ...  share of predictions that find a label
    ``mean_iou``           mean IoU of the predictions that find a label (IoU above 0.5)
    =====================  ==========================================================

    A region counts from a fixed score on. MMOCR's ``HmeanIOUMetric`` takes the best one of several,
    which the labels of the test set choose. What touches ignored text is handled as there.

    Args:
        ious: IoUs of single values of F1, at least 0.5.
        score: Least score of a region.
        kwargs: ``ignore_precision_thr``, ``collect_device`` and ``prefix`` of ``HmeanIOUMetric``.
    """

    default_prefix: str | None = 'boxes'

    def __init__(
        self, ious: Sequence[float] = (0.5, 0.7, 0.8), score: float = 0.5, **kwargs: Any
    ) -> None:
        check_numbers('ious', ious, least=0.5, below=1)
        check_number('score', score, least=0, most=1)
        check_text('prefix', kwargs.get('prefix'))
        # A single threshold: its steps are larger than what is left.
        super().__init__(pred_score_thrs=dict(start=score, stop=score + 1, step=2), **kwargs)
        self.ious = tuple(ious)
        self.score = score

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> dict[str, Any]:
        """Return MMOCR's metric with the same score (:mod:`mmocr_da.plain`)."""
        score = cfg.get('score', 0.5)
        thresholds = dict(start=score, stop=score + 1, step=2)
        names = 'ignore_precision_thr', 'prefix', 'collect_device'
        kept: dict[str, Any] = {name: cfg[name] for name in names if name in cfg}
        return dict(type='HmeanIOUMetric', pred_score_thrs=thresholds, **kept)

    def regions(self, results: Sequence[dict[str, Any]] | None = None) -> MatchedRegions:
        """Match the regions of each image that :meth:`process` got, in their order."""
        results = self.results if results is None else results
        tables = [r['iou_metric'][:, r['pred_scores'] >= self.score] for r in results]
        labelled, predicted = np.array([t.shape for t in tables], int).reshape(-1, 2).T
        return MatchedRegions([match_regions(t) for t in tables], predicted, labelled)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Compute all values of the class' table."""
        regions = self.regions(results)
        predicted, labelled = (
            max(int(np.sum(counts)), 1) for counts in (regions.predicted, regions.labelled)
        )
        out = dict(f1=regions.f1(*IOUS), mean_iou=regions.mean_iou)
        for iou in self.ious:
            found, name = float(regions.found(iou).sum()), f'{100 * iou:g}'
            out[f'f1_{name}'] = regions.f1(iou)
            out[f'recall_{name}'] = found / labelled
            out[f'precision_{name}'] = found / predicted
        return out
