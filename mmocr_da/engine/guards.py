"""Checks that every training run gets without being asked."""

from mmengine.runner import Runner

from .checkpoint_fit_hook import CheckpointFitHook
from .ctc_fit_hook import CTCFitHook
from .finite_hook import FiniteHook
from .label_check import LabelCheckHook
from .notes_hook import NotesHook
from .operators_hook import OperatorsHook
from .settings_hook import SettingsHook

GUARDS = (
    OperatorsHook,
    CheckpointFitHook,
    SettingsHook,
    NotesHook,
    LabelCheckHook,
    CTCFitHook,
    FiniteHook,
)


def add_guards(runner: Runner) -> None:
    """Add the hooks that stop a run which cannot work, but those that the config has itself."""
    for guard in GUARDS:
        if not any(isinstance(hook, guard) for hook in runner.hooks):
            runner.register_hook(guard())
