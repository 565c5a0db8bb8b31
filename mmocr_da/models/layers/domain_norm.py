"""Batch normalization with statistics of the whole batch or of each domain.

Statistics per domain: Chang et al., "Domain-Specific Batch Normalization", CVPR 2019; unlike the
paper, the domains share weights.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from mmocr_da.arguments import check_count, check_flag, check_number
from mmocr_da.device import on_device

from .normalization import normalize
from .row_groups import RowGroups, at_least_one

SOURCE, TARGET = 0, 1


class DomainNorm(_InstanceNorm):
    """Batch normalization with the keys of ``nn.BatchNorm``, optionally with statistics per domain.

    Inside :func:`domains_of_images` a layer with ``per_domain`` normalizes each domain by its own
    statistics. ``running_mean`` and ``running_var`` are then the target's, which the exported model
    keeps; ``source_mean`` and ``source_var`` are the source's. Outside, a batch in training updates
    both, and a batch in evaluation is normalized by the target's.

    It is not a ``_BatchNorm``, because converters to ``SyncBatchNorm`` would replace it. Its child
    ``mode`` is a ``_BatchNorm`` without parameters: options that synchronize or freeze the batch
    norms of a model (``sync_bn``, ``norm_eval``) reach this layer through it. Functions that look
    for running statistics (``torch.optim.swa_utils.update_bn``) do not reach it.

    Shape: ``(N, C, *) -> (N, C, *)``.
    """

    _abbr_ = 'bn'  # mmcv names a layer after it: the name of a batch norm
    rank: int | None = None  # 1, 2 or 3 spatial dimensions; None takes any
    source_mean: Tensor
    source_var: Tensor

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
        check_count('num_features', num_features)
        check_number('eps', eps, least=0)
        if momentum is not None:
            check_number('momentum', momentum, least=0, most=1)
        check_flag('affine', affine)
        check_flag('track_running_stats', track_running_stats)
        super().__init__(num_features, eps, 0.1, affine, track_running_stats, device, dtype)
        self.momentum = momentum  # set here, because an instance norm does not accept None
        of_rank = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}.get(self.rank or 1, nn.BatchNorm1d)
        self.mode = of_rank(num_features, affine=False, track_running_stats=False)
        self.per_domain = False
        self.domains: RowGroups | None = None  # rows by domain, inside domains_of_images

    def forward(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)
        # The hosts freeze batch norms, which sets `mode`; torch's eval() sets the layer itself.
        training = self.training and self.mode.training
        from_batch = training or self.running_mean is None
        domains = self.domains
        if domains is not None and len(domains.group_of_row) != len(x):
            raise ValueError(
                f'a layer with statistics per domain needs the rows of the batch, '
                f'{len(domains.group_of_row)} images, got {tuple(x.shape)}'
            )
        process_group = self._process_group() if from_batch and training else None
        if from_batch and process_group is None:
            self._check_size(x, domains)
        mean = var = None
        if not from_batch:
            mean, var = self._statistics_of(domains)
        y, mean, var, group_size = normalize(
            x, self._gate(), self.weight, self.bias, mean, var, self.eps, domains, process_group
        )
        if training and self.running_mean is not None:
            assert group_size is not None  # since no statistics were given
            self._update(mean, var, group_size)
        return y

    def _gate(self) -> Tensor | None:
        return None

    def _check_input_dim(self, x: Tensor) -> None:
        ranks = {None: (2, 3, 4, 5), 1: (2, 3), 2: (4,), 3: (5,)}[self.rank]
        if x.dim() not in ranks or x.shape[1] != self.num_features:
            raise ValueError(
                f'{type(self).__name__} needs (N, {self.num_features}, *) with '
                f'{" or ".join(map(str, ranks))} dimensions, got {tuple(x.shape)}'
            )

    def _check_size(self, x: Tensor, domains: RowGroups | None) -> None:
        for count in (len(x),) if domains is None else domains.counts:
            if count * x.shape[2:].numel() == 1:
                raise ValueError(
                    'Expected more than 1 value per channel when training, got input size '
                    f'{tuple(x.shape)} with {count} image of a domain or batch'
                )

    def _process_group(self) -> dist.ProcessGroup | None:
        # torch's and mmcv's name the attribute differently.
        if type(self.mode).__name__ != 'SyncBatchNorm' or not dist.is_initialized():
            return None
        group = getattr(self.mode, 'process_group', None) or getattr(self.mode, 'group', None)
        group = group or dist.group.WORLD
        return group if dist.get_world_size(group) > 1 else None

    def _statistics_of(self, domains: RowGroups | None) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None and self.running_var is not None
        if domains is None:
            return self.running_mean[None], self.running_var[None]
        return (
            torch.stack([self.source_mean, self.running_mean]),
            torch.stack([self.source_var, self.running_var]),
        )

    @torch.no_grad()
    def _update(self, mean: Tensor, var: Tensor, group_size: int | Tensor) -> None:
        """Update the running statistics by ``(G, C)`` statistics of ``group_size`` values each."""
        if isinstance(group_size, int) and not group_size:
            return
        running_mean, running_var = self.running_mean, self.running_var
        assert running_mean is not None and running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum: float | Tensor
        if self.momentum is None:  # the plain average of all batches
            momentum = 1 / self.num_batches_tracked.to(running_mean.dtype)
        else:
            momentum = self.momentum
        unbiased = var * (group_size / at_least_one(group_size - 1))
        if isinstance(group_size, Tensor):  # a domain may be absent
            momentum = (momentum * (group_size > 0)).to(running_mean.dtype)
        running = [(running_mean, running_var)]
        if self.per_domain:
            running = [(self.source_mean, self.source_var), *running]
        # Without domains, the batch updates the statistics of both.
        for group, buffers in enumerate(running):
            group = min(group, len(mean) - 1)
            weight: Any = momentum
            if isinstance(momentum, Tensor) and momentum.dim():
                weight = momentum[group]
            for buffer, new in zip(buffers, (mean[group], unbiased[group])):
                buffer.lerp_(new.to(buffer.dtype), weight)

    def keep_statistics_per_domain(self) -> None:
        """Add statistics of the source, as a copy of the present statistics.

        Raises:
            ValueError: If the layer has no running statistics or no momentum.
        """
        if self.running_mean is None or self.running_var is None:
            raise ValueError(
                'statistics per domain need a norm layer with running statistics, got '
                'one with track_running_stats=False'
            )
        if self.momentum is None:
            raise ValueError(
                'statistics per domain need a momentum, got None: num_batches_tracked counts all '
                'batches, also those without an image of a domain'
            )
        if not self.per_domain:
            self.per_domain = True
            self.register_buffer('source_mean', self.running_mean.clone())
            self.register_buffer('source_var', self.running_var.clone())

    def plain_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return all weights except the statistics of the source (:mod:`mmocr_da.plain`)."""
        dropped = ('source_mean', 'source_var')
        return {key: value for key, value in state_dict.items() if key not in dropped}

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self._complete(state_dict, prefix, missing_keys)

    @torch.no_grad()
    def _complete(self, state_dict: dict[str, Any], prefix: str, missing_keys: list[str]) -> None:
        """Add the keys that a checkpoint of a plain batch norm lacks."""
        for name in ('mean', 'var') if self.per_domain else ():
            key = f'{prefix}source_{name}'
            if key not in state_dict and f'{prefix}running_{name}' in state_dict:
                getattr(self, f'source_{name}').copy_(getattr(self, f'running_{name}'))
                if key in missing_keys:
                    missing_keys.remove(key)


class DomainBatchNorm1d(DomainNorm):
    """:class:`DomainNorm` of maps ``(N, C, L)``."""

    rank = 1


class DomainBatchNorm2d(DomainNorm):
    """:class:`DomainNorm` of maps ``(N, C, H, W)``."""

    rank = 2


class DomainBatchNorm3d(DomainNorm):
    """:class:`DomainNorm` of maps ``(N, C, D, H, W)``."""

    rank = 3


@contextmanager
def domains_of_images(
    module: nn.Module, is_source: Sequence[bool], device: torch.device | str | None = None
) -> Iterator[None]:
    """Tell layers with statistics per domain the domain of each row, within the block."""
    layers = [m for m in module.modules() if isinstance(m, DomainNorm) and m.per_domain]
    if not layers:
        yield
        return
    sources = sum(is_source)
    index = on_device([SOURCE if s else TARGET for s in is_source], device, torch.long)
    domains = RowGroups(index, (sources, len(is_source) - sources))
    for layer in layers:
        layer.domains = domains
    try:
        yield
    finally:
        for layer in layers:
            layer.domains = None
