"""Optimizer settings of batch-instance norm (Nam & Kim, NeurIPS 2018, section 4)."""

import logging

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmocr_da.arguments import check_number
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm
from mmocr_da.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BINGateOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with a separate learning rate and weight decay for gates.

    A gate is the parameter ``rho`` of any ``BatchInstanceNorm``. Its gradient is small where the
    images of a batch differ little (eq. 5), so the paper lets it learn 10 times as fast, without
    weight decay. Both factors multiply the value that the gate would have otherwise, also one from
    ``custom_keys``.

    Parameters with equal settings share one group, so that optimizers update them together, and a
    parameter that two layers share is updated once, unless ``bypass_duplicate=False``.

    Args:
        paramwise_cfg: As for :class:`mmengine.optim.DefaultOptimWrapperConstructor`, and

            - ``gate_lr_mult`` (float): Factor of a gate's learning rate, 10 by default.
            - ``gate_decay_mult`` (float): Factor of a gate's weight decay, 0 by default.
    """

    paramwise_cfg: dict

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        options: dict = dict(self.paramwise_cfg)
        self.gate_lr_mult = _pop_factor(options, 'gate_lr_mult', 10)
        self.gate_decay_mult = _pop_factor(options, 'gate_decay_mult', 0)
        self.paramwise_cfg = options
        self.gates: set[nn.Parameter] = set()

    def __call__(self, model: nn.Module) -> OptimWrapper:
        # Parameters hash by identity.
        self.gates = {m.rho for m in model.modules() if isinstance(m, BatchInstanceNorm)}
        if not self.gates:
            print_log(
                'the model has no BatchInstanceNorm, so BINGateOptimWrapperConstructor does '
                'what DefaultOptimWrapperConstructor does',
                logger='current',
                level=logging.WARNING,
            )
            return super().__call__(model)
        # Without any option MMEngine would put all parameters into one group.
        self.paramwise_cfg.setdefault('bypass_duplicate', True)
        optim_wrapper = super().__call__(model)
        # Only now do all groups have all settings, also settings that the config does not name.
        for group in optim_wrapper.optimizer.param_groups:
            if not self.gates.isdisjoint(group['params']):
                group['lr'] = group['lr'] * self.gate_lr_mult
                if 'weight_decay' in group:
                    group['weight_decay'] = group['weight_decay'] * self.gate_decay_mult
                print_log(
                    f'gates of {len(group["params"])} layers: lr={group["lr"]:g}, '
                    f'weight_decay={group.get("weight_decay", 0):g}',
                    logger='current',
                )
        return optim_wrapper

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs) -> None:
        """Add the parameters of a module; for the whole model, join groups with equal settings."""
        super().add_params(params, module, prefix, **kwargs)
        if not prefix and self.paramwise_cfg.get('bypass_duplicate'):
            params[:] = self._merge(params)

    def _merge(self, groups: list[dict]) -> list[dict]:
        """Join groups of equal settings; gates come last, as MMEngine logs the first group's lr."""
        merged: list[dict] = []
        for group in sorted(groups, key=self._is_gate):
            for other in merged:
                if self._is_gate(group) == self._is_gate(other) and _settings(group) == _settings(
                    other
                ):
                    other['params'] += group['params']
                    break
            else:
                merged.append(group)
        return merged

    def _is_gate(self, group: dict) -> bool:
        return group['params'][0] in self.gates


def _settings(group: dict) -> dict:
    return {key: value for key, value in group.items() if key != 'params'}


def _pop_factor(options: dict, name: str, default: float) -> float:
    factor = options.pop(name, default)
    check_number(name, factor, least=0, why=f'without the key it is {default}')
    return factor
