"""Evaluation. In: predictions with their ground truths, or representations. Out: numbers."""

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

__all__ = [
    'DumpPredictions',
    'TextErrorMetric',
    'accuracy_within_one_edit',
    'agreement',
    'alignment',
    'character_error_rate',
    'effective_rank',
    'normalize',
    'normalized_edit_distance',
    'spread',
    'total_edit_distance',
    'uniformity',
    'word_accuracy',
    'word_error_rate',
]
