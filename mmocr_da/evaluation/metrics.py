"""All error rates and accuracies of text recognition papers, and a dump of all predictions."""

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.fileio import dump
from mmengine.logging import print_log

from mmocr_da.arguments import check_flag, check_text
from mmocr_da.outputs import check_outputs, output_file
from mmocr_da.registry import METRICS
from mmocr_da.unicode import UnicodeForm, check_unicode_form

from .functional import (
    accuracy_within_one_edit,
    character_error_rate,
    normalize,
    normalized_edit_distance,
    total_edit_distance,
    word_accuracy,
    word_error_rate,
)


@METRICS.register_module()
class TextErrorMetric(BaseMetric):
    """Error rates and accuracies of word images, from one pass over the data.

    ================================  ==============================================  ======
    key                               meaning                                         better
    ================================  ==============================================  ======
    ``cer``                           edits / reference characters                    lower
    ``wer``                           share of words with an error                    lower
    ``ted``                           total edit distance                             lower
    ``ned``                           mean of ``1 - distance / max(length)``          higher
    ``ed1``                           share of words within one edit                  higher
    ``word_acc``                      share of words right                            higher
    ``word_acc_ignore_case``          the same, letter case ignored                   higher
    ``word_acc_ignore_case_symbol``   the same, case and symbols ignored              higher
    ================================  ==============================================  ======

    ``ignore_case`` and ``ignore_symbols`` apply to the first five; the three accuracies keep the
    names and the meaning of MMOCR's ``WordMetric``. Numbers are not rounded. Symbols are all
    characters except letters, digits and marks of any script, see
    :func:`~mmocr_da.evaluation.functional.normalize`. ``unicode_form``, such as 'NFC', is the
    Unicode form that all texts are converted to first.

    With ``MultiDatasetsEvaluator`` and ``dataset_prefixes=['source', 'target']`` a key becomes
    ``target/recog/cer``; with MMEngine's plain ``Evaluator`` it is ``recog/cer``.

    ``prediction`` is the field of the data samples that holds the prediction. A second metric with
    ``prediction='pred_text_source', prefix='C_s'`` evaluates SymNet's C^s as well.
    """

    default_prefix: str | None = 'recog'

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> list[dict[str, Any]]:
        """Return MMOCR's metrics of recognition (:mod:`mmocr_da.plain`)."""
        return [
            dict(type='WordMetric', mode=['exact', 'ignore_case', 'ignore_case_symbol']),
            dict(type='CharMetric'),
            dict(type='OneMinusNEDMetric'),
        ]

    def __init__(
        self,
        ignore_case: bool = False,
        ignore_symbols: bool = False,
        unicode_form: UnicodeForm | None = None,
        prediction: str = 'pred_text',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        check_flag('ignore_case', ignore_case)
        check_flag('ignore_symbols', ignore_symbols)
        check_text('prediction', prediction, optional=False)
        check_text('prefix', prefix)
        super().__init__(collect_device, prefix)
        self.ignore_case = ignore_case
        self.ignore_symbols = ignore_symbols
        check_unicode_form(unicode_form)
        self.unicode_form = unicode_form
        self._warned: set[str] = set()
        self.prediction = prediction

    def process(
        self, data_batch: Sequence[dict[str, Any]], data_samples: Sequence[dict[str, Any]]
    ) -> None:
        """Append ``(prediction, ground truth)`` of every sample.

        There is exactly one entry per sample, in order: ``MultiDatasetsEvaluator`` splits the list
        by the sizes of the datasets.

        Raises:
            ValueError: If a sample has no ground truth or no prediction.
        """
        for sample in data_samples:
            ground_truth = (sample.get('gt_text') or {}).get('item')
            if ground_truth is None:
                raise ValueError(
                    f'{type(self).__name__} needs data samples with gt_text.item, got none for '
                    f'{sample.get("img_path", "an image")}; evaluate on a labelled dataset '
                    'with `LoadOCRAnnotations(with_text=True)` in its pipeline, or remove the '
                    'dataset from the val/test dataloader'
                )
            prediction = sample.get(self.prediction)
            if prediction is None:
                raise ValueError(
                    f'{type(self).__name__}(prediction={self.prediction!r}) got data samples '
                    'without this field: the model does not write it'
                )
            self.results.append((prediction.get('item'), ground_truth))

    def compute_metrics(self, results: list[tuple[str, str]]) -> dict[str, float]:
        """Compute all metrics from ``(prediction, ground truth)`` pairs.

        Raises:
            ValueError: If all ground truths are empty.
        """
        # `UnlabelledDataset` carries empty texts, so that MMOCR's pipelines run on it.
        if results and not any(ground_truth for _, ground_truth in results):
            raise ValueError(
                f'{type(self).__name__} needs texts to compare with, got only empty ones for all '
                f'{len(results)} images; evaluate on a labelled dataset'
            )

        self._warn(results)

        def columns(**options: bool) -> list[list[str]]:
            return [
                [normalize(pair[i], unicode_form=self.unicode_form, **options) for pair in results]
                for i in (0, 1)
            ]

        texts = columns(ignore_case=self.ignore_case, ignore_symbols=self.ignore_symbols)
        return dict(
            cer=character_error_rate(*texts),
            wer=word_error_rate(*texts),
            # A float, since MMEngine writes integers as null to the file of a test run.
            ted=float(total_edit_distance(*texts)),
            ned=normalized_edit_distance(*texts),
            ed1=accuracy_within_one_edit(*texts),
            word_acc=word_accuracy(*columns()),
            word_acc_ignore_case=word_accuracy(*columns(ignore_case=True)),
            word_acc_ignore_case_symbol=word_accuracy(
                *columns(ignore_case=True, ignore_symbols=True)
            ),
        )

    def _warn(self, results: list[tuple[str, str]]) -> None:
        """Warn once of ground truths with symbols only or in another Unicode form."""
        symbols = [
            ground_truth
            for _, ground_truth in results
            if ground_truth and not normalize(ground_truth, ignore_symbols=True)
        ]
        form = self.unicode_form
        other_form = [
            ground_truth
            for prediction, ground_truth in results
            if form is None
            and prediction != ground_truth
            and normalize(prediction, unicode_form='NFC')
            == normalize(ground_truth, unicode_form='NFC')
        ]
        for texts, fact in (
            (
                symbols,
                'consist of symbols only and are empty where symbols are ignored: there any '
                'prediction of symbols only is right',
            ),
            (
                other_form,
                'differ from the prediction only in their Unicode form and count as '
                "errors: set unicode_form='NFC' of TextErrorMetric",
            ),
        ):
            message = (
                f'{len(texts)} of {len(results)} ground truths {fact}; for example {texts[:5]}'
            )
            if texts and message not in self._warned:
                self._warned.add(message)
                print_log(message, logger='current', level=logging.WARNING)


@METRICS.register_module()
class DumpPredictions(DumpResults):
    """MMEngine's ``DumpResults``, complete under ``MultiDatasetsEvaluator`` too.

    That evaluator computes the results of one dataset after the other, and ``DumpResults`` would
    overwrite the file each time, so that only the last dataset remained. An existing file is
    replaced only if this class wrote it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_outputs([self.out_file_path], type(self).__name__)
        self._dumped: list[Any] = []

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> None:
        """Return None, as it computes no metric (:mod:`mmocr_da.plain`)."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Dump all results so far to the pickle file; it computes no metric."""
        self._dumped.extend(results)
        with output_file(self.out_file_path, type(self).__name__) as file:
            dump(self._dumped, file)
        print_log(f'All predictions so far are in {self.out_file_path}', 'current')
        return {}
