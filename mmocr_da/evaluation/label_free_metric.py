"""Scores of a recognizer without labels, as a metric of a validation."""

import bisect
import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmocr_da.arguments import check_choice, check_count, check_flag, check_list, check_text
from mmocr_da.registry import METRICS
from mmocr_da.unicode import UnicodeForm, check_unicode_form

from .functional import normalize, normalized_edit_distance
from .label_free import (
    CharacterLanguageModel,
    batch_nuclear_norm,
    certainty,
    information,
    length_plausibility,
    soft_neighbourhood_density,
)

OF_PROBABILITIES = dict(
    certainty=certainty,
    information=information,
    snd=soft_neighbourhood_density,
    nuclear_norm=batch_nuclear_norm,
)
#: Scores that compare predictions with texts.
OF_TEXTS = ('characters', 'lengths')
#: Scores that compare predictions with others of the same images, and the fields of those.
OF_OTHERS = dict(agreement='pred_text_perturbed', teacher_agreement='pred_text_counterpart')
SCORES = (*OF_PROBABILITIES, 'confidence', *OF_TEXTS, *OF_OTHERS)


@METRICS.register_module()
class LabelFreeMetric(BaseMetric):
    """Scores by which a checkpoint can be chosen without labels of the target.

    ====================== ======================================================================
    key                    meaning; of all, higher is better
    ====================== ======================================================================
    ``certainty``          minus the mean entropy of the characters
    ``information``        mutual information of characters and classes
    ``snd``                soft neighbourhood density of the characters
    ``nuclear_norm``       batch nuclear norm of the characters, from 0 to 1
    ``confidence``         mean probability of the predicted texts: the word accuracy that the
                           recognizer expects of itself, which is the true one if it is calibrated
    ``characters``         mean log-probability of the predicted characters in a language model of
                           ``texts``
    ``lengths``            minus the distance of the lengths of predictions from those of ``texts``
    ``agreement``          mean of ``1 - distance / max(length)`` of predictions and those of
                           slightly perturbed images
    ``teacher_agreement``  the same of predictions of teacher and student
    ====================== ======================================================================

    :mod:`mmocr_da.evaluation.label_free` has the definitions and their sources. No score is an
    accuracy: each can rise while a recognizer becomes sure of its errors.

    It needs ``mmocr_da.LabelFreeHook``, which makes predictions keep their probabilities, and makes
    the second predictions that a score compares with. Labels of the images are never used::

        val_evaluator = dict(type='mmocr_da.LabelFreeMetric', scores=['information', 'agreement'])
        custom_hooks = [dict(type='mmocr_da.LabelFreeHook')]
        default_hooks = dict(checkpoint=dict(save_best='label_free/information', rule='greater'))

    Args:
        scores: Keys to compute.
        texts: What predictions should look like: a list of texts, or a file with one per line, such
            as a lexicon. By default the hook takes the labels of the source that is trained on.
        max_characters: Most characters that are used for the scores of probabilities, since their
            cost grows with the square of the number. If a dataset has more, whole images are drawn
            by a hash of their paths, so always the same ones.
        ignore_case, ignore_symbols, unicode_form: What texts and predictions are compared without,
            see :func:`~mmocr_da.evaluation.functional.normalize`.
    """

    default_prefix: str | None = 'label_free'

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> None:
        """Return None, as MMOCR has no such metric (:mod:`mmocr_da.plain`)."""

    def __init__(
        self,
        scores: Sequence[str] = (*OF_PROBABILITIES, 'confidence'),
        texts: Sequence[str] | str | None = None,
        max_characters: int = 5000,
        ignore_case: bool = False,
        ignore_symbols: bool = False,
        unicode_form: UnicodeForm | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        check_list('scores', scores, str, 'texts')
        for score in scores:
            check_choice('scores', score, SCORES)
        if not scores:
            raise ValueError(f'scores must name at least one of {", ".join(SCORES)}, got none')
        if not isinstance(texts, (list, tuple)):
            check_text('texts', texts)
        check_count('max_characters', max_characters, least=2, of='characters')
        check_flag('ignore_case', ignore_case)
        check_flag('ignore_symbols', ignore_symbols)
        check_unicode_form(unicode_form)
        check_text('prefix', prefix)
        super().__init__(collect_device, prefix)
        self.scores = tuple(dict.fromkeys(scores))
        self.max_characters = max_characters
        self.options: dict[str, Any] = dict(
            ignore_case=ignore_case, ignore_symbols=ignore_symbols, unicode_form=unicode_form
        )
        self.texts = _read(texts) if isinstance(texts, (str, Path)) else texts
        self._held: Counter[int] = Counter()
        self._told = False

    @property
    def directions(self) -> dict[str, str]:
        """Which value of each key is better, for ``save_best`` and ``EarlyStoppingHook``."""
        return dict.fromkeys(self.scores, 'greater')

    @property
    def needs_texts(self) -> bool:
        """Whether ``texts`` are still to be set."""
        return self.texts is None and not set(OF_TEXTS).isdisjoint(self.scores)

    def process(
        self, data_batch: Sequence[dict[str, Any]], data_samples: Sequence[dict[str, Any]]
    ) -> None:
        """Append the prediction of every sample; labels are not looked at.

        Raises:
            ValueError: If a prediction lacks what the hook keeps.
        """
        # Of ConcatDataset, whose parts are evaluated one by one.
        ends = (self.dataset_meta or {}).get('cumulative_sizes', [])
        world, rank = get_world_size(), get_rank()
        if not self.results:
            self._held.clear()
        for sample in data_samples:
            prediction = sample.get('pred_text') or {}
            others = {field: sample.get(field) for key, field in OF_OTHERS.items() if key in self}
            if 'probabilities' not in prediction or None in others.values():
                raise ValueError(
                    f'{type(self).__name__} needs predictions with their probabilities, got none '
                    f'for {sample.get("img_path", "an image")}; add '
                    "dict(type='mmocr_da.LabelFreeHook') to custom_hooks"
                )
            rows = prediction['probabilities']
            path = str(sample.get('img_path', len(self.results)))
            dataset = bisect.bisect_right(ends, len(self.results) * world + rank)
            self.results.append(
                dict(
                    dataset=dataset,
                    order=hashlib.blake2b(path.encode(), digest_size=8).digest(),
                    text=prediction['item'],
                    confidence=prediction['confidence'],
                    count=len(rows),
                    rows=rows,
                    **{field: (other or {}).get('item') for field, other in others.items()},
                )
            )
            self._held[dataset] += len(rows)
        for dataset, held in self._held.items():
            if held > 2 * self.max_characters:
                part = [result for result in self.results if result['dataset'] == dataset]
                self._held[dataset] = draw_rows(part, self.max_characters)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Compute the scores of predictions; NaN where there is too little to go by.

        Raises:
            ValueError: If a score compares with texts, and there are none.
        """
        found: dict[str, float] = {}
        if not set(OF_PROBABILITIES).isdisjoint(self.scores):
            rows = self._rows(results)
            found.update({key: of(rows) for key, of in OF_PROBABILITIES.items() if key in self})
        if 'confidence' in self:
            confidences = [result['confidence'] for result in results]
            found['confidence'] = sum(confidences) / max(len(confidences), 1)
        texts = [self._normalized(result['text']) for result in results]
        if 'characters' in self:
            found['characters'] = self._language_model.plausibility(texts)
        if 'lengths' in self:
            found['lengths'] = length_plausibility(texts, self._expected)
        for key, field in OF_OTHERS.items():
            if key in self:
                others = [self._normalized(result[field]) for result in results]
                found[key] = normalized_edit_distance(texts, others)
        return {key: found[key] for key in self.scores}

    def __contains__(self, score: str) -> bool:
        return score in self.scores

    def _rows(self, results: list[dict[str, Any]]) -> torch.Tensor:
        total, held = sum(r['count'] for r in results), draw_rows(results, self.max_characters)
        if held < total and not self._told:
            self._told = True
            print_log(
                f'{type(self).__name__}: scores of probabilities are of {held:,} characters of '
                f'{total:,} (max_characters={self.max_characters:,}), always of the same images',
                logger='current',
            )
        rows = [r['rows'] for r in results if r['rows'] is not None and r['count']]
        return torch.cat(rows) if rows else torch.zeros(0, 1)

    def _normalized(self, text: str) -> str:
        return normalize(text, **self.options)

    @cached_property
    def _expected(self) -> list[str]:
        expected = [*filter(None, map(self._normalized, self.texts or ()))]
        if not expected:
            raise ValueError(
                f'{type(self).__name__} needs texts for {" and ".join(OF_TEXTS)}, got none; give '
                'texts= a file with one per line, or train on a labelled source'
            )
        return expected

    @cached_property
    def _language_model(self) -> CharacterLanguageModel:
        return CharacterLanguageModel(self._expected)


def draw_rows(results: list[dict[str, Any]], most: int) -> int:
    """Keep the rows of some images, at most this number in all, but those of one at least.

    They are the first images in the order of their hashes. So it does not matter in which order
    they come, on which process, or whether rows have been dropped before.

    Returns:
        The number of rows that are left.
    """
    total = held = 0
    for result in sorted(results, key=lambda result: result['order']):
        if total and total + result['count'] > most:
            total = most  # nothing that follows is kept either
            result['rows'] = None
        else:
            total += result['count']
            held += result['count'] * (result['rows'] is not None)
    return held


def _read(file: str | Path) -> list[str]:
    try:
        content = Path(file).read_text(encoding='utf-8-sig')
    except OSError as error:
        raise ValueError(
            f'texts must be a list of texts or a file with one per line, got {str(file)!r}: {error}'
        ) from error
    return [line.strip() for line in content.splitlines() if line.strip()]
