"""Schedules of adaptation weights, as functions of the progress of training.

Schedules have no state: the progress comes from the iteration that MMEngine checkpoints, so a
resumed run continues with the same values.
"""

import math
from collections.abc import Callable

from mmengine.logging import MessageHub

from mmocr_da.arguments import check_choice, check_number

#: Each shape maps progress p in [0, 1] to a factor.
SHAPES: dict[str, Callable[[float], float]] = {
    'constant': lambda p: 1.0,
    # gamma(p), 0 -> 1 (Ganin & Lempitsky); the reversal of ASSDA's released code
    'rising': lambda p: 2 / (1 + math.exp(-10 * p)) - 1,
    # omega(p), 1/2 -> 0; the loss weight of ASSDA's released code
    'falling': lambda p: 1 - 1 / (1 + math.exp(-10 * p)),
    # gamma * omega, the gradient magnitude at the recognizer: 0 -> 1/8 at p = 0.11 -> 0
    'product': lambda p: SHAPES['rising'](p) * SHAPES['falling'](p),
}


class Schedule:
    """``high`` times a function of the progress of training.

    Args:
        shape: ``'constant'`` (the paper's fixed strategy), ``'rising'``, ``'falling'``, or their
            ``'product'``.
        high: The factor in front of the shape.

    >>> [round(Schedule('rising', 0.1)(p), 4) for p in (0, 0.1, 0.5, 1)]
    [0.0, 0.0462, 0.0987, 0.1]
    """

    def __init__(self, shape: str, high: float = 1.0) -> None:
        check_choice('schedule', shape, SHAPES)
        check_number('high', high)
        self.shape = shape
        self.high = high

    def __call__(self, progress: float) -> float:
        return self.high * SHAPES[self.shape](progress)

    def now(self) -> float:
        """Return the value at the current iteration of the running MMEngine runner.

        Raises:
            RuntimeError: If a schedule that is not constant is used without a runner.
        """
        if self.shape == 'constant':
            return self.high
        iteration, total = current_iteration()
        return self(iteration / total)

    def __repr__(self) -> str:
        return f'Schedule({self.shape!r}, {self.high})'


def current_iteration() -> tuple[int, int]:
    """Return ``(iteration, total iterations)`` of the running training, from the message hub.

    Raises:
        RuntimeError: If no runner has set them.
    """
    hub = MessageHub.get_current_instance()
    iteration, total = hub.get_info('iter'), hub.get_info('max_iters')
    if iteration is None or not total:
        raise RuntimeError(
            'a schedule or an alternation that follows the progress of training needs a running '
            "MMEngine Runner (its RuntimeInfoHook sets 'iter' and 'max_iters'); outside of one use "
            "schedule='constant', or set both in MMEngine's MessageHub"
        )
    return iteration, total
