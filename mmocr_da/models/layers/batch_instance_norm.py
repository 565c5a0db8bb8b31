"""Batch-instance normalization (Nam & Kim, NeurIPS 2018, arXiv:1805.07925)."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from mmocr_da.registry import MODELS

from .domain_norm import DomainNorm

_layers: 'weakref.WeakSet[BatchInstanceNorm]' = weakref.WeakSet()


class BatchInstanceNorm(DomainNorm):
    """A blend of batch and instance norm per channel: ``rho * BN(x) + (1 - rho) * IN(x)``.

    ``rho = 1`` keeps style (batch norm), ``rho = 0`` removes it (instance norm). It starts at 1,
    and the other keys have the names of ``BN``, so checkpoints of a batch norm load. In evaluation
    BN uses running statistics, and IN the statistics of the image. For an image with one value per
    channel the result is ``BN(x)``.

    ``rho`` is clipped to [0, 1] after every step of every ``torch.optim`` optimizer and before
    every use (eq. 4), without configuration. The paper trains it with 10 times the learning rate
    and no weight decay: ``configs/_base_/gates.py``.

    Shape: ``(N, C, *) -> (N, C, *)``; ``rho`` is ``(C,)``.

    >>> x, norm = torch.randn(4, 3, 8, 8), BatchInstanceNorm2d(3)
    >>> torch.allclose(norm(x), nn.BatchNorm2d(3)(x), atol=1e-5)
    True
    >>> _ = nn.init.zeros_(norm.rho)
    >>> torch.allclose(norm(x), nn.InstanceNorm2d(3)(x), atol=1e-5)
    True
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        self.rho = nn.Parameter(torch.ones(num_features, device=device, dtype=dtype))
        _layers.add(self)

    def __setstate__(self, state: dict[str, Any]) -> None:  # called by copies and by unpickling
        super().__setstate__(state)
        _layers.add(self)

    def _gate(self) -> Tensor:
        # Project rho itself, not a copy in the graph: that would stop its gradient outside [0, 1],
        # and a gate that once left could never come back.
        if torch.compiler.is_compiling():  # which does not support assignments to .data
            return self.rho + (self.rho.clamp(0, 1) - self.rho).detach()
        self.rho.data.clamp_(0, 1)
        return self.rho

    @classmethod
    def plain_cfg(cls, cfg: dict[str, Any]) -> dict[str, Any]:
        """Return the config of a batch norm (:mod:`mmocr_da.plain`)."""
        name = cfg['type'].removeprefix('mmocr_da.')
        return dict(cfg, type=name.replace('BIN', 'BN'))

    def plain_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of a batch norm, if all gates are 1 (:mod:`mmocr_da.plain`).

        Raises:
            ValueError: If a gate is not 1.
        """
        state_dict = super().plain_state_dict(state_dict)
        rho = state_dict.pop('rho', None)
        if rho is not None and not (rho == 1).all():
            raise ValueError(
                'batch-instance norms can be exported as batch norms only if all their gates are '
                '1, got others: what such a layer does depends on the image, and MMOCR has none '
                'like it; keep mmocr_da installed and use the config and the checkpoint as they are'
            )
        return state_dict

    @torch.no_grad()
    def _complete(self, state_dict: dict[str, Any], prefix: str, missing_keys: list[str]) -> None:
        super()._complete(state_dict, prefix, missing_keys)
        key = f'{prefix}rho'
        if key not in state_dict and any(
            f'{prefix}{name}' in state_dict for name in ('running_mean', 'weight')
        ):
            self.rho.fill_(1)
            if key in missing_keys:
                missing_keys.remove(key)


@MODELS.register_module('BIN1d')
class BatchInstanceNorm1d(BatchInstanceNorm):
    """:class:`BatchInstanceNorm` of maps ``(N, C, L)``."""

    rank = 1


@MODELS.register_module(['BIN', 'BIN2d'])
class BatchInstanceNorm2d(BatchInstanceNorm):
    """:class:`BatchInstanceNorm` of maps ``(N, C, H, W)``."""

    rank = 2


@MODELS.register_module('BIN3d')
class BatchInstanceNorm3d(BatchInstanceNorm):
    """:class:`BatchInstanceNorm` of maps ``(N, C, D, H, W)``."""

    rank = 3


@torch.no_grad()
def _project(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Clip every gate that the optimizer owns (eq. 4)."""
    # By identity: a tensor's == compares values.
    owned = {id(p) for group in optimizer.param_groups for p in group['params']} if _layers else ()
    gates: list[Tensor] = [layer.rho for layer in _layers if id(layer.rho) in owned]
    if gates:
        torch._foreach_clamp_min_(gates, 0)
        torch._foreach_clamp_max_(gates, 1)


register_optimizer_step_post_hook(_project)
