"""Evaluation: readings and truths, or representations, in; rates, accuracies and measures out."""

from .functional import (
    accuracy_within_one_edit,
    character_error_rate,
    normalize,
    normalized_edit_distance,
    total_edit_distance,
    word_accuracy,
    word_error_rate,
)
from .metrics import DumpPredictions, TextErrorMetric
from .representation import agreement, alignment, effective_rank, spread, uniformity
from .surrogate import approximation_error, error_by_value, rank_correlation

__all__ = [
    'DumpPredictions',
    'TextErrorMetric',
    'accuracy_within_one_edit',
    'agreement',
    'alignment',
    'approximation_error',
    'character_error_rate',
    'effective_rank',
    'error_by_value',
    'normalize',
    'normalized_edit_distance',
    'rank_correlation',
    'spread',
    'total_edit_distance',
    'uniformity',
    'word_accuracy',
    'word_error_rate',
]
