"""Runs the checks of the start of a training without a training."""

import copy
from types import SimpleNamespace
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook, LoggerHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from .hooks import CTCFitHook, OperatorsHook, SettingsHook
from .launch import check_training

#: The hooks whose settings are checked.
CHECKED = CheckpointHook, EarlyStoppingHook, LoggerHook


def rehearse(cfg: Config, model: BaseModel, dataset: Any) -> list[str]:
    """Run the checks that a training runs before its first iteration; nothing is written.

    Args:
        cfg: Config of the training, see :func:`.launch.check_config`.
        model: Its model, with the weights of ``load_from``.
        dataset: The dataset of its ``train_dataloader``.

    Returns:
        Warnings.

    Raises:
        ValueError: If the training would be refused.
    """
    runner = _Rehearsal(cfg, model, dataset)
    check_training(runner)
    OperatorsHook().before_run(runner)
    runner.build()
    SettingsHook().before_train(runner)
    CTCFitHook().before_train(runner)
    return runner.warnings


class _Rehearsal(Runner):
    """A runner without logs, files, processes and other state of the whole program."""

    def __init__(self, cfg: Config, model: BaseModel, dataset: Any) -> None:
        self.cfg = cfg = copy.deepcopy(cfg)
        self.model = model
        self.warnings: list[str] = []
        self.logger: Any = SimpleNamespace(
            warning=self.warnings.append, info=_ignore, debug=_ignore
        )
        self.visualizer: Any = SimpleNamespace()  # loops describe their dataset to it
        self._randomness_cfg: dict[str, Any] = {}
        self._seed = 0
        self._load_from, self._resume = cfg.get('load_from'), False
        self._train_dataloader = cfg.train_dataloader
        # As an object it would be copied.
        self._train_dataloader.dataset = dict(type=lambda: dataset)
        self._train_loop = cfg.train_cfg
        self._val_dataloader = cfg.get('val_dataloader')
        self._val_evaluator = cfg.get('val_evaluator')
        self._val_loop = cfg.get('val_cfg')
        self.optim_wrapper, self.param_schedulers = cfg.optim_wrapper, cfg.get('param_scheduler')
        self._hooks: list[Hook] = []
        hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
        for hook in filter(_is_checked, hooks):
            self.register_hook(hook)

    def build(self) -> None:
        """Build what :meth:`mmengine.runner.Runner.train` builds, in its order."""
        self._train_loop = self.build_train_loop(self._train_loop)
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        if self._val_loop is not None:
            self._val_loop = self.build_val_loop(self._val_loop)


def _is_checked(hook: Any) -> bool:
    kind = (hook or {}).get('type')
    cls = HOOKS.get(kind) if isinstance(kind, str) else kind
    return isinstance(cls, type) and issubclass(cls, CHECKED)


def _ignore(*_: Any) -> None:
    pass
