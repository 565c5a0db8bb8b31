"""Runs parts of a program in one process of several."""

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process

from mmocr_da.engine.launch import prepare_cpu_launch

T = TypeVar('T')


def join(launcher: str) -> None:
    """Join the group of processes that a launcher has started, before a runner does."""
    if launcher == 'none' or is_distributed():
        return
    if get_device() == 'cpu':
        prepare_cpu_launch(Config(dict(launcher=launcher)))
    else:
        init_dist(launcher, backend='nccl')


def on_main(function: Callable[[], T]) -> T:
    """Call a function in the main process and return its result in all; an error stops all."""
    if not is_distributed():
        return function()
    outcome: list[Any] = [None, '']
    error: BaseException | None = None
    if is_main_process():
        try:
            outcome[0] = function()
        except BaseException as raised:
            error, outcome[1] = raised, f'{type(raised).__name__}: {raised}'
    broadcast_object_list(outcome)
    if error is not None:
        raise error
    if outcome[1]:
        raise SystemExit(f'the main process has stopped: {outcome[1]}')
    return outcome[0]
