"""The checks that every run gets, whatever its config says."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS
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
    WholeCheckpointsHook,
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
    WholeCheckpointsHook,
)


def check_strategy(cfg: Config) -> None:
    """Check that every process of a run has the whole model.

    Raises:
        ValueError: If the config has another runner, or a wrapper that divides the model.
    """
    runner = RUNNERS.get(cfg.get('runner_type', 'Runner')) or Runner  # an unknown one is reported
    wrapper = str((cfg.get('model_wrapper_cfg') or {}).get('type', ''))
    strategy = (cfg.get('strategy') or {}).get('type')
    if strategy or not issubclass(runner, Runner):
        raise ValueError(_needs_whole_model(strategy or runner.__name__))
    if 'FullySharded' in wrapper:
        raise ValueError(_needs_whole_model(wrapper))


def _needs_whole_model(found: Any) -> str:
    return (
        'mmocr_da trains with the whole model in each process (DDP), because its objectives, hooks '
        f'and checkpoints read single weights, got {found}; remove runner_type, strategy and '
        'model_wrapper_cfg from the config, and start tools/dist_train.sh'
    )


def add_guards(runner: Runner) -> None:
    """Add the hooks that stop a run which cannot work, unless the config has them already.

    Raises:
        ValueError: If the runner divides the model over processes.
    """
    if not isinstance(runner, Runner):  # MMEngine's FlexibleRunner, with a strategy
        raise ValueError(_needs_whole_model(type(runner).__name__))
    for guard in GUARDS:
        if not any(isinstance(hook, guard) for hook in runner.hooks):
            runner.register_hook(guard())
