"""Evaluation. In: predictions with their ground truths, or representations. Out: numbers."""

from .confusions import CharacterConfusions
from .detection import (
    IOUS,
    BoxQualityMetric,
    MatchedRegions,
    f1_difference,
    match_regions,
    mean_iou_difference,
)
from .dev_metric import DEVMetric
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
    sums_interval,
    word_accuracy_interval,
)
from .label_free import (
    CharacterLanguageModel,
    DensityRatio,
    batch_nuclear_norm,
    certainty,
    importance_weighted_risk,
    information,
    length_plausibility,
    soft_neighbourhood_density,
)
from .label_free_metric import LabelFreeMetric
from .metrics import DumpPredictions, TextErrorMetric
from .prediction_change import LabelledScores, PredictionChange, Predictions, TextStatistics
from .representation import agreement, alignment, effective_rank, spread, uniformity
from .score_ranking import ScoreRank, rank_scores

__all__ = [
    'IOUS',
    'BoxQualityMetric',
    'CharacterConfusions',
    'CharacterLanguageModel',
    'DEVMetric',
    'DensityRatio',
    'DumpPredictions',
    'Estimate',
    'LabelFreeMetric',
    'LabelledScores',
    'MatchedRegions',
    'PredictionChange',
    'Predictions',
    'ScoreRank',
    'TextErrorMetric',
    'TextStatistics',
    'accuracy_within_one_edit',
    'agreement',
    'alignment',
    'batch_nuclear_norm',
    'certainty',
    'character_error_rate',
    'character_error_rate_interval',
    'edit_distances',
    'effective_rank',
    'normalize',
    'normalized_edit_distance',
    'f1_difference',
    'f1_interval',
    'importance_weighted_risk',
    'information',
    'length_plausibility',
    'match_regions',
    'mean_iou_difference',
    'rank_scores',
    'ratio_interval',
    'soft_neighbourhood_density',
    'spread',
    'sums_interval',
    'total_edit_distance',
    'uniformity',
    'word_accuracy',
    'word_accuracy_interval',
    'word_error_rate',
]
