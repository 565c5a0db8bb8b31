"""Objectives: features of the two domains of a batch in, losses by name out."""

from .confidence_rules import (
    ConfidenceQuantile,
    ConfidenceRule,
    ConfidenceThreshold,
    RelativeThreshold,
)
from .detection_features import DetectionFeatures
from .detector_map_self_training import DetectorMapSelfTraining
from .detector_self_training import DetectorSelfTraining
from .discriminators import DomainDiscriminator
from .domain_confusion import DomainConfusion
from .domain_consistency import DomainConsistency
from .domain_features import DomainFeatures
from .entropy_minimization import EntropyMinimization
from .global_alignment import GlobalAlignment
from .image_alignment import ImageAlignment
from .instance_alignment import InstanceAlignment
from .l2sp import L2SP
from .local_alignment import LocalAlignment
from .ls_ed import LSEDLoss
from .minimum_risk import MinimumRisk
from .objective import Objective
from .optimal_completion import OptimalCompletion
from .scheduled_sampling import ScheduledSampling
from .self_training import SelfTraining
from .symnet_head import SymNetHead
from .teacher_objective import TeacherObjective

__all__ = [
    'ConfidenceQuantile',
    'ConfidenceRule',
    'ConfidenceThreshold',
    'DetectionFeatures',
    'DetectorMapSelfTraining',
    'DetectorSelfTraining',
    'DomainConfusion',
    'DomainConsistency',
    'DomainDiscriminator',
    'DomainFeatures',
    'EntropyMinimization',
    'GlobalAlignment',
    'ImageAlignment',
    'InstanceAlignment',
    'L2SP',
    'LSEDLoss',
    'LocalAlignment',
    'MinimumRisk',
    'Objective',
    'OptimalCompletion',
    'RelativeThreshold',
    'ScheduledSampling',
    'SelfTraining',
    'SymNetHead',
    'TeacherObjective',
]
