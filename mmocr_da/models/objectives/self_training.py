"""Self-training on the target: a teacher's confident words are labels (FixMatch, Mean Teacher)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.structures import LabelData
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.arguments import check_count, check_flag, check_number
from mmocr_da.compat import no_grad
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..valid_ratio import valid_ratios
from ..weak_batch import weak_batch, without_label
from .domain_features import DomainFeatures
from .prediction_watch import PredictionWatch
from .teacher_objective import TeacherObjective


@MODELS.register_module()
class SelfTraining(TeacherObjective):
    """Learns target words that a teacher predicts with confidence; for every decoder of MMOCR.

    The teacher is a moving average of the recognizer, ``decay * teacher + (1 - decay) * student``
    after each step of the optimizer (Tarvainen & Valpola, NeurIPS 2017). It decodes the target as
    in testing. A word that it predicts with enough confidence becomes the label of the image, and
    the student learns it by the decoder's own loss (FixMatch, Sohn et al., NeurIPS 2020, eq. 4,
    with words instead of classes)::

        loss = weight * mean over kept words of L(student(strong view), word)

    The mean is over the kept words of all processes, or with ``average='all'`` this mean times the
    share of images that are kept, as in FixMatch: then few words have a small weight.

    How much confidence is enough says ``keep``: the same for all words (``threshold``), that of a
    share of the target (:class:`ConfidenceQuantile`), or that of the source
    (:class:`RelativeThreshold`). Empty predictions and predictions with the unknown character are
    never kept. The confidence is the probability of the predicted text, see
    :meth:`~mmocr_da.models.decoders.DecoderAdapter.word_confidences`. It shrinks with the length of
    the word, unless it is ``length_normalized``.

    :class:`mmocr_da.datasets.WeakStrongViews` in the target's pipeline gives the two views. Without
    it the teacher sees the image that the student sees.

    The teacher is in the checkpoint. It starts as a copy of the recognizer, also where a checkpoint
    without a teacher is loaded. Iterations that freeze the recognizer do not change it.

    The log shows, for the target images of a batch, ``kept`` (the share that becomes labels),
    ``threshold`` (the confidence that was enough, at most 1), ``confidence``, ``length``
    (characters per prediction) and ``distinct_words`` (their number) of the teacher, and
    ``learned_characters`` (their share in the kept words, with ``character_threshold``), and
    ``agreement``, the share of images for which the student, on its view, predicts the same text. A
    warning names collapsed predictions.

    Args:
        weight: Weight of the loss.
        schedule: How the weight follows the progress of training, see
            :class:`~mmocr_da.models.schedules.Schedule`.
        ramp: Number of iterations in which the weight rises linearly from 0, in addition to the
            schedule; 0 for none.
        threshold: Words are kept if they are predicted with at least this confidence, 0 to 1; 0.5
            if ``keep`` is not given.
        keep: Config of another rule for the words that are kept, in place of ``threshold``, such as
            ``dict(type='mmocr_da.ConfidenceQuantile', start=0.2, end=0.8)``.
        length_normalized: Take the geometric mean over the characters and the end of a word as its
            confidence, and not the product. It needs a higher threshold. The README of the configs
            has a comparison: it ranks words of CTC a little better, and those of attention not.
        character_threshold: Characters of a kept word that the teacher predicts with a lower
            probability are not learned, 0 to 1; at 0 all are. So the sure characters of a word can
            be learned without the others, with a lower ``threshold`` (consistency of characters:
            Zheng et al., CVPR 2022). Not for CTC, whose loss is one of whole words.
        average: Whether the loss is the mean over kept words (``'kept'``) or over all target images
            of a batch, with 0 for those that are not kept (``'all'``).
        decay: Share of the teacher that stays at each step, 0 to 1. At 0 it is the student; at 1
            it stays as it was loaded, as with pseudo-labels that are predicted once.
        agreement_interval: Number of batches from one ``agreement`` to the next, since it costs
            the student a greedy decoding.
        predict_with: Who predicts in testing and is exported, ``'teacher'`` or ``'student'``.
    """

    name = 'self_training'

    def __init__(
        self,
        weight: float = 1.0,
        schedule: str = 'constant',
        ramp: int = 0,
        threshold: float | None = None,
        keep: dict[str, Any] | None = None,
        length_normalized: bool = False,
        character_threshold: float = 0.0,
        average: str = 'kept',
        decay: float = 0.99,
        agreement_interval: int = 10,
        predict_with: str = 'teacher',
    ) -> None:
        super().__init__(weight, schedule, ramp, threshold, keep, decay, predict_with)
        check_number(
            'character_threshold', character_threshold, least=0, most=1, why='it is a probability'
        )
        check_count('agreement_interval', agreement_interval, of='batches')
        check_flag('length_normalized', length_normalized)
        if average not in ('kept', 'all'):
            raise ValueError(f"average must be 'kept' or 'all', got {average!r}")
        self.length_normalized = length_normalized
        self.character_threshold = character_threshold
        self.average = average
        self.agreement_interval = agreement_interval
        self._watch = PredictionWatch(self.keep.advice)
        self._batches = 0
        self._told = False

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Create the teacher.

        Raises:
            ValueError: If the recognizer cannot be trained by its decoder's loss, cannot decode,
                has no loss per character that is asked for, or does not learn the source with which
                confidences are compared.
        """
        for name in ('module_loss', 'postprocessor'):
            if getattr(recognizer.decoder, name, None) is None:
                raise ValueError(
                    f'SelfTraining needs a decoder with a {name}, got '
                    f'{type(recognizer.decoder).__name__} without one'
                )
        adapter = adapter_of(recognizer.decoder)
        if self.character_threshold and adapter.ignored_index() is None:
            raise ValueError(
                f'character_threshold={self.character_threshold} needs a loss with a term for each '
                f'character, CEModuleLoss, got {type(recognizer.decoder.module_loss).__name__}; '
                'leave it out'
            )
        if self.keep.needs_source and recognizer.supervised_weight == 0:
            raise ValueError(
                f'{type(self.keep).__name__} compares with confidences of the supervised loss of '
                'the source, got supervised_weight=0; set it above 0, or use ConfidenceQuantile'
            )
        super().attach(recognizer)

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute the losses of the decoder on the kept words, and log values."""
        texts, confidences, scores = self.predict_words(target)
        usable = self._usable(texts)
        least = self.keep(
            [c if fit else 0.0 for c, fit in zip(confidences, usable)],
            partial(source.word_confidences, self.length_normalized),
        )
        kept = [i for i, fit in enumerate(usable) if fit and confidences[i] >= least]
        labelled = [_labelled(target.samples[i], texts[i]) for i in kept]
        weight = self._weight()
        learned = None
        if self.character_threshold:
            learned = [[score >= self.character_threshold for score in scores[i]] for i in kept]
        losses = target.labelled_loss(kept, labelled, learned)
        out = {key: value * weight for key, value in losses.items() if 'loss' in key}
        if self.average == 'all':
            share = _share_of_all(kept, texts, next(iter(out.values())))
            out = {key: value * share for key, value in out.items()}
        if self.training and torch.is_grad_enabled():
            self._watch.see(texts, len(kept))
        self._learned()
        like = next(iter(out.values())).detach().float()
        values = self._log_values(target, texts, confidences, len(kept))
        if learned is not None:
            count = sum(map(len, learned))
            values['learned_characters'] = sum(map(sum, learned)) / count if count else 0.0
        values['weight'] = weight
        values['threshold'] = min(least, 1.0)
        out |= {key: like.new_full((), value) for key, value in values.items()}
        return self.named(out)

    def predict_words(
        self, target: DomainFeatures
    ) -> tuple[list[str], list[float], list[list[float]]]:
        """Return the teacher's texts of the target images, and the confidence in each.

        And the probability of each character, for decoders with a step per character.
        """
        if not len(target.samples):
            return [], [], []
        recognizer = self._model[0]
        with no_grad(), self.teacher.replacing(recognizer):
            images, samples = self._weak_views(target)
            decoder = recognizer.decoder
            feature_map = recognizer.extract_feat(images)
            sequence = recognizer.encoder(feature_map, samples) if recognizer.with_encoder else None
            adapter = adapter_of(decoder)
            probabilities = adapter.probabilities(feature_map, sequence, samples)
            confidences = adapter.word_confidences(
                probabilities, valid_ratios(samples), self.length_normalized
            )
            decoder.postprocessor(probabilities, samples)
        found = [sample.pred_text for sample in samples]
        scores = [text.get('score', []) for text in found]
        return [text.item for text in found], confidences.tolist(), scores

    def _weak_views(self, target: DomainFeatures) -> tuple[Tensor, list[TextRecogDataSample]]:
        """The images that the teacher sees, preprocessed, and their data samples."""
        data = weak_batch(target.samples)
        if data is None:
            if not self._told:
                self._told = True
                print_log(
                    'SelfTraining: the teacher sees the images that the student sees; for a weaker '
                    'augmentation, let the pipeline of the target end with '
                    "dict(type='mmocr_da.WeakStrongViews', weak=[...], strong=[...])",
                    logger='current',
                )
            assert target.images is not None
            return target.images, [without_label(sample) for sample in target.samples]
        data = self._model[0].data_preprocessor(data, False)
        return data['inputs'], data['data_samples']

    def _usable(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text can be a label."""
        unknown = getattr(self._model[0].decoder.dictionary, 'unknown_token', None)
        return [bool(text) and not (unknown and unknown in text) for text in texts]

    def _log_values(
        self,
        target: DomainFeatures,
        texts: Sequence[str],
        confidences: Sequence[float],
        kept: int,
    ) -> dict[str, float]:
        count = max(len(texts), 1)
        out = dict(
            kept=kept / count,
            confidence=sum(confidences) / count,
            length=sum(map(len, texts)) / count,
            distinct_words=float(len({text for text in texts if text})),
        )
        if self._batches % self.agreement_interval == 0 and texts:
            same = map(str.__eq__, texts, target.predict_texts())
            out['agreement'] = sum(same) / count
        self._batches += self.training
        return out


def _labelled(sample: TextRecogDataSample, text: str) -> TextRecogDataSample:
    labelled = without_label(sample)
    labelled.gt_text = LabelData(item=text)
    return labelled


def _share_of_all(kept: Sequence[int], texts: Sequence[str], like: Tensor) -> Tensor:
    """The share of all ranks' images that are kept; all ranks must call this."""
    counts = on_device([float(len(kept)), float(len(texts))], like.device)
    all_reduce(counts)
    return counts[0] / counts[1].clamp(min=1)
