"""Deep embedded validation: the accuracy on the target, estimated by labels of the source."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmocr_da.arguments import check_count, check_flag, check_list, check_text
from mmocr_da.registry import METRICS
from mmocr_da.unicode import UnicodeForm, check_unicode_form

from .functional import normalize
from .label_free import DensityRatio, importance_weighted_risk

#: A warning names weights that are worth fewer source images than this.
FEW = 30
#: And weights whose mean is less: source images do not cover the target.
LEAST_MEAN = 0.5


@METRICS.register_module()
class DEVMetric(BaseMetric):
    """Importance-weighted word accuracy of the source (DEV; You et al., ICML 2019).

    ``dev`` is ``1 - risk``: the word errors of labelled source images are weighted by how much more
    often features as theirs occur in the target, see
    :func:`~mmocr_da.evaluation.label_free.importance_weighted_risk`. Higher is better. It estimates
    the word accuracy on the target if the domains differ in how often images occur, and not in how
    an image is labelled; and it can be outside of 0 to 1.

    The validation must hold images of both domains, in a ``ConcatDataset``, and the source images
    must be none that were trained on. ``mmocr_da.LabelFreeHook`` makes predictions keep the
    features. Labels of the target are never used. It also works in a ``MultiDatasetsEvaluator``,
    where the key has the prefix of the last dataset.

    Args:
        source: Indexes of the source datasets in the ``ConcatDataset``; the others are the target.
        ignore_case, ignore_symbols, unicode_form: As in
            :class:`~mmocr_da.evaluation.TextErrorMetric`.
    """

    default_prefix: str | None = 'label_free'

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> None:
        """Return None, as MMOCR has no such metric (:mod:`mmocr_da.plain`)."""

    def __init__(
        self,
        source: Sequence[int] = (0,),
        ignore_case: bool = False,
        ignore_symbols: bool = False,
        unicode_form: UnicodeForm | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        check_list('source', source, int, 'indexes of datasets')
        for index in source:
            check_count('source', index, least=0)
        if not source:
            raise ValueError('source must name a dataset at least, got none')
        check_flag('ignore_case', ignore_case)
        check_flag('ignore_symbols', ignore_symbols)
        check_unicode_form(unicode_form)
        check_text('prefix', prefix)
        super().__init__(collect_device, prefix)
        self.source = set(source)
        self.options: dict[str, Any] = dict(
            ignore_case=ignore_case, ignore_symbols=ignore_symbols, unicode_form=unicode_form
        )
        self._seen: list[tuple[Any, str, str]] = []

    @property
    def directions(self) -> dict[str, str]:
        """Which value is better, for ``save_best`` and ``EarlyStoppingHook``."""
        return dict(dev='greater')

    def process(
        self, data_batch: Sequence[dict[str, Any]], data_samples: Sequence[dict[str, Any]]
    ) -> None:
        """Append feature, prediction and label of every sample; those of the target are not used.

        Raises:
            ValueError: If a sample has no feature.
        """
        for sample in data_samples:
            if sample.get('feature') is None:
                raise ValueError(
                    f'{type(self).__name__} needs data samples with their feature, got none for '
                    f'{sample.get("img_path", "an image")}; add '
                    "dict(type='mmocr_da.LabelFreeHook') to custom_hooks"
                )
            label = (sample.get('gt_text') or {}).get('item', '')
            self.results.append((sample['feature'], sample['pred_text']['item'], label))

    def compute_metrics(self, results: list[tuple[Any, str, str]]) -> dict[str, float]:
        """Compute the accuracy from all datasets, or wait for the next of them.

        Raises:
            ValueError: If there is no source or no target, or if no source image has a label.
        """
        self._seen += results
        ends = (self.dataset_meta or {}).get('cumulative_sizes', [len(self._seen)])
        if len(self._seen) < ends[-1]:
            return {}
        seen, self._seen = self._seen, []
        is_source = np.repeat([i in self.source for i in range(len(ends))], np.diff([0, *ends]))
        source = [entry for entry, known in zip(seen, is_source) if known]
        features = [
            np.array(
                [np.asarray(entry[0]) for entry, known in zip(seen, is_source) if known == own]
            )
            for own in (True, False)
        ]
        if not all(map(len, features)) or not any(label for *_, label in source):
            raise ValueError(
                f'{type(self).__name__} needs a ConcatDataset of labelled source images, at the '
                f'indexes source={sorted(self.source)}, and of target images, got {len(ends)} '
                f'datasets with {len(source)} source images, of which '
                f'{sum(bool(label) for *_, label in source)} have a label'
            )
        errors = [
            float(normalize(text, **self.options) != normalize(label, **self.options))
            for _, text, label in source
        ]
        ratios = DensityRatio(*features)(features[0])
        self._check(ratios)
        return dict(dev=1 - importance_weighted_risk(errors, ratios))

    def _check(self, ratios: Any) -> None:
        size = ratios.sum() ** 2 / max((ratios**2).sum(), np.finfo(float).tiny)
        if ratios.mean() < LEAST_MEAN or size < min(FEW, len(ratios) / 2):
            print_log(
                f'{type(self).__name__}: the domains hardly overlap. The weights of {len(ratios):,}'
                f' source images have the mean {ratios.mean():.2g}, which should be 1, and are '
                f'worth {size:.0f} images: the estimate says little',
                logger='current',
                level=logging.WARNING,
            )
