"""Measures how long a step of a training takes on this machine."""

import contextlib
import copy
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

#: Steps before the measurement: memory is allocated, workers load their first batches.
WARM_UP = 1


def seconds_per_step(cfg: Config, model: BaseModel, steps: int = 3) -> float:
    """Train a recognizer for a few steps and return the time of one, in seconds.

    Loading images is part of it. It is a step of the end of the training, where everything is
    learned. The model is changed and should be thrown away.

    Args:
        cfg: Config of the training.
        model: Its model.
        steps: Steps that are measured, after one that is not.
    """
    model = model.to(get_device()).train()
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    loader_cfg = copy.deepcopy(cfg.train_dataloader)
    # Workers that persist would outlive the measurement.
    loader_cfg.pop('persistent_workers', None)
    loader = Runner.build_dataloader(loader_cfg, seed=0)
    with _progress(cfg.train_cfg.max_iters):
        batches = _repeated(loader)
        start = 0.0
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                _finish_kernels()
                start = time.perf_counter()
            model.train_step(next(batches), wrapper)
        _finish_kernels()
        seconds = (time.perf_counter() - start) / steps
        batches.close()
    return seconds


def duration(seconds: float) -> str:
    """Say how long something takes.

    >>> duration(42), duration(600), duration(7000), duration(300_000)
    ('42 s', '10 minutes', '1.9 hours', '3.5 days')
    """
    if seconds < 100:
        return f'{seconds:.0f} s'
    if seconds < 6000:
        return f'{seconds / 60:.0f} minutes'
    return f'{seconds / 3600:.1f} hours' if seconds < 48 * 3600 else f'{seconds / 86400:.1f} days'


def _repeated(loader: Iterable[Any]) -> Generator[Any, None, None]:
    while True:
        yield from loader


def _finish_kernels() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextlib.contextmanager
def _progress(total: int) -> Iterator[None]:
    """Let schedules see the last iteration of a training."""
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', total - 1)
    hub.update_info('max_iters', total)
    try:
        yield
    finally:
        for key in ('iter', 'max_iters'):
            hub.runtime_info.pop(key, None)
