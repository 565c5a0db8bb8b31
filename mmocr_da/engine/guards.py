"""The checks that every run gets, whatever its config says."""

from mmengine.runner import Runner

from .hooks import (
    AfterStepHook,
    CheckpointFitHook,
    CTCFitHook,
    CurrentRunHook,
    FiniteHook,
    LabelCheckHook,
    NotesHook,
    OperatorsHook,
    SettingsHook,
)

GUARDS = (
    AfterStepHook,
    CurrentRunHook,
    OperatorsHook,
    CheckpointFitHook,
    SettingsHook,
    NotesHook,
    LabelCheckHook,
    CTCFitHook,
    FiniteHook,
)


def add_guards(runner: Runner) -> None:
    """Add the hooks that stop a run which cannot work, unless the config has them already."""
    for guard in GUARDS:
        if not any(isinstance(hook, guard) for hook in runner.hooks):
            runner.register_hook(guard())
