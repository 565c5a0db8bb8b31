"""The learning rate schedule of adversarial adaptation (Ganin & Lempitsky, ICML 2015).

SymNets (Zhang et al., CVPR 2019, section 4.1) uses it, too.
"""

import logging

from mmengine.logging import print_log
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType

from mmocr_da.arguments import check_choice, check_count, check_number
from mmocr_da.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class InverseDecayParamScheduler(_ParamScheduler):
    """``eta_0 / (1 + alpha * p) ** beta``, where p goes from 0 at ``begin`` to 1 at ``end``.

    Step n of a window of N steps has p = n / N, as in the authors' code, so a window by epoch and
    its conversion to iterations agree where epochs start. Each step multiplies the current
    value: parameter groups keep their ratios, and other schedulers may run before or beside it.
    After ``end`` the value is constant.

    Args:
        optimizer: Optimizer or its wrapper.
        param_name: The parameter of the groups that decays, e.g. ``'lr'``.
        alpha: How far it decays, at least 0.
        beta: Exponent of the decay, at least 0.
        begin: First step of the window.
        end: The step after the window. In a config, MMEngine's Runner sets it to the end of
            training; without a Runner it must be given.
        **kwargs: ``by_epoch``, ``last_step`` and ``verbose`` of MMEngine's schedulers.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        alpha: float = 10.0,
        beta: float = 0.75,
        begin: int = 0,
        end: int = INF,
        **kwargs,
    ) -> None:
        for name, value in (('alpha', alpha), ('beta', beta)):
            check_number(name, value, least=0)
        check_count('begin', begin, least=0, of='steps')
        check_count('end', end, of='steps')
        check_choice('param_name', param_name, optimizer.param_groups[0])
        if end >= INF:
            raise ValueError(
                f'{type(self).__name__} needs end, the step at which its decay is complete, got '
                'none; set it to the iterations of the training, or with by_epoch=True to its '
                'epochs (in a config, the Runner does)'
            )
        if end - begin == 1:
            print_log(
                f'{type(self).__name__} has a window of one step, so nothing decays; in a '
                'training by iterations set by_epoch=False',
                logger='current',
                level=logging.WARNING,
            )
        self.alpha = alpha
        self.beta = beta
        super().__init__(optimizer, param_name, begin=begin, end=end, **kwargs)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args,
        epoch_length: int,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        **kwargs,
    ) -> 'InverseDecayParamScheduler':
        """Build a scheduler by iteration from settings in epochs of ``epoch_length``."""
        if end < INF:
            end = int(end * epoch_length)
        steps = dict(begin=int(begin * epoch_length), end=end, by_epoch=False)
        # The arguments in `args` come before `begin`.
        return cls(*args, **steps, **kwargs)  # type: ignore[misc, arg-type]

    def _get_value(self) -> list[float]:
        # (1 + alpha p) of the previous step divided by (1 + alpha p) of this one, both times N.
        n, steps = self.last_step, self.end - self.begin
        factor = 1.0
        if n > 0:
            factor = ((steps + self.alpha * (n - 1)) / (steps + self.alpha * n)) ** self.beta
        return [group[self.param_name] * factor for group in self.optimizer.param_groups]


@PARAM_SCHEDULERS.register_module()
class InverseDecayLR(LRSchedulerMixin, InverseDecayParamScheduler):
    """The learning rate decays as ``eta_0 / (1 + 10 p) ** 0.75``, to 17 % at the end of training.

    In a config: ``param_scheduler = [dict(type='mmocr_da.InverseDecayLR', by_epoch=False)]``.
    The arguments are as for :class:`InverseDecayParamScheduler`, without ``param_name``.
    """
