"""Evaluation: readings and truths in, error rates and accuracies out."""
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

__all__ = [
    'DumpPredictions', 'TextErrorMetric', 'accuracy_within_one_edit', 'character_error_rate',
    'normalize', 'normalized_edit_distance', 'total_edit_distance', 'word_accuracy',
    'word_error_rate'
]
