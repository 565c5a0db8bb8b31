"""Hooks, one per file: they stop, change or report a run."""

from .ada_bn_hook import AdaBNHook
from .after_step_hook import AfterStepHook
from .bin_gate_hook import BINGateHook
from .checkpoint_fit_hook import CheckpointFitHook
from .ctc_fit_hook import CTCFitHook
from .current_run_hook import CurrentRunHook
from .encoder_export_hook import EncoderExportHook
from .fast_decoding_hook import FastDecodingHook
from .finite_hook import FiniteHook
from .freeze_hook import FreezeHook
from .health_hook import HealthHook
from .label_check_hook import LabelCheckHook
from .label_free_hook import LabelFreeHook
from .label_subset_hook import LabelSubsetHook
from .notes_hook import NotesHook
from .operators_hook import OperatorsHook
from .painting_hook import PaintingHook
from .part_export_hook import PartExportHook
from .representation_hook import RepresentationHook
from .saved_buffers_hook import SavedBuffersHook
from .settings_hook import SettingsHook
from .surrogate_export_hook import SurrogateExportHook
from .surrogate_watch_hook import SurrogateWatchHook
from .whole_checkpoints_hook import WholeCheckpointsHook

__all__ = [
    'AdaBNHook',
    'AfterStepHook',
    'BINGateHook',
    'CTCFitHook',
    'CheckpointFitHook',
    'CurrentRunHook',
    'EncoderExportHook',
    'FastDecodingHook',
    'FiniteHook',
    'FreezeHook',
    'HealthHook',
    'LabelCheckHook',
    'LabelFreeHook',
    'LabelSubsetHook',
    'NotesHook',
    'OperatorsHook',
    'PaintingHook',
    'PartExportHook',
    'RepresentationHook',
    'SavedBuffersHook',
    'SettingsHook',
    'SurrogateExportHook',
    'SurrogateWatchHook',
    'WholeCheckpointsHook',
]
