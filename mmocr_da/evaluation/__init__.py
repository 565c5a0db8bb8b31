"""Evaluation. In: predictions with their ground truths, or representations. Out: numbers."""

from .functional import (
    accuracy_within_one_edit,
    character_error_rate,
    edit_distances,
    normalize,
    normalized_edit_distance,
    total_edit_distance,
    word_accuracy,
    word_error_rate,
)
from .intervals import (
    Estimate,
    character_error_rate_interval,
    f1_interval,
    ratio_interval,
    word_accuracy_interval,
)
from .metrics import DumpPredictions, TextErrorMetric
from .prediction_change import LabelledScores, PredictionChange, Predictions, TextStatistics
from .representation import agreement, alignment, effective_rank, spread, uniformity

__all__ = [
    'DumpPredictions',
    'Estimate',
    'LabelledScores',
    'PredictionChange',
    'Predictions',
    'TextErrorMetric',
    'TextStatistics',
    'accuracy_within_one_edit',
    'agreement',
    'alignment',
    'character_error_rate',
    'character_error_rate_interval',
    'edit_distances',
    'effective_rank',
    'normalize',
    'normalized_edit_distance',
    'f1_interval',
    'ratio_interval',
    'spread',
    'total_edit_distance',
    'uniformity',
    'word_accuracy',
    'word_accuracy_interval',
    'word_error_rate',
]
