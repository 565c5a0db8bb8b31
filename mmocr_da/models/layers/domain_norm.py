"""Batch normalization with statistics of the whole batch or of each domain.

Per domain: Chang et al., "Domain-Specific Batch Normalization", CVPR 2019, with shared weights.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from mmocr_da.device import on_device

from .normalization import Domains, normalize

SOURCE, TARGET = 0, 1


class DomainNorm(_InstanceNorm):
    """Batch normalization with the keys of ``nn.BatchNorm``, and two sets of statistics on demand.

    Inside :func:`domains_of_images` a layer with ``per_domain`` normalizes each domain by its own
    statistics. ``running_mean`` and ``running_var`` are then the target's, which the exported model
    keeps; ``source_mean`` and ``source_var`` are the source's. Outside, a batch in training counts
    for both, and in evaluation it is taken to be of the target.

    It is no ``_BatchNorm``, because converters to ``SyncBatchNorm`` would replace it by one. Its
    child ``mode`` is a ``_BatchNorm`` without parameters: whatever synchronizes or freezes the
    batch norms of a model (``sync_bn``, ``norm_eval``) reaches this layer through it. What looks
    for their running statistics (``torch.optim.swa_utils.update_bn``) does not.

    Shape: ``(N, C, *) -> (N, C, *)``.
    """

    _abbr_ = 'bn'  # mmcv names a layer after it: the name of a batch norm
    rank = None  # of 1d, 2d, 3d; None takes any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        of_rank = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}.get(self.rank, nn.BatchNorm1d)
        self.mode = of_rank(num_features, affine=False, track_running_stats=False)
        self.per_domain = False
        self.domains = None

    def forward(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)
        # Every batch norm of the host that is frozen freezes `mode`; torch's own freezes the layer.
        training = self.training and self.mode.training
        from_batch = training or self.running_mean is None
        domains = self.domains
        if domains is not None and len(domains.index) != len(x):
            raise ValueError(
                f'a layer with statistics per domain needs the rows of the batch, '
                f'{len(domains.index)} images, got {tuple(x.shape)}'
            )
        group = self._process_group() if from_batch and training else None
        if from_batch and group is None:
            self._check_size(x, domains)
        mean = var = None
        if not from_batch:
            mean, var = self._statistics_of(domains)
        y, mean, var, count = normalize(
            x, self._gate(), self.weight, self.bias, mean, var, self.eps, domains, group
        )
        if training and self.running_mean is not None:
            self._update(mean, var, count)
        return y

    def _gate(self) -> Tensor | None:
        return None

    def _check_input_dim(self, x: Tensor) -> None:
        ranks = {None: (2, 3, 4, 5), 1: (2, 3)}.get(self.rank) or (self.rank + 2,)
        if x.dim() not in ranks or x.shape[1] != self.num_features:
            raise ValueError(
                f'{type(self).__name__} needs (N, {self.num_features}, *) with '
                f'{" or ".join(map(str, ranks))} dimensions, got {tuple(x.shape)}'
            )

    def _check_size(self, x: Tensor, domains: Domains | None) -> None:
        for count in (len(x),) if domains is None else domains.counts:
            if count * x.shape[2:].numel() == 1:
                raise ValueError(
                    'Expected more than 1 value per channel when training, got input size '
                    f'{tuple(x.shape)} with {count} image of a part that is normalized together'
                )

    def _process_group(self):
        # torch's or mmcv's, which name the attribute differently
        if type(self.mode).__name__ != 'SyncBatchNorm' or not dist.is_initialized():
            return None
        group = getattr(self.mode, 'process_group', None) or getattr(self.mode, 'group', None)
        group = group or dist.group.WORLD
        return group if dist.get_world_size(group) > 1 else None

    def _statistics_of(self, domains: Domains | None):
        if domains is None:
            return self.running_mean[None], self.running_var[None]
        return (
            torch.stack([self.source_mean, self.running_mean]),
            torch.stack([self.source_var, self.running_var]),
        )

    @torch.no_grad()
    def _update(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        if isinstance(count, int) and not count:
            return
        self.num_batches_tracked.add_(1)
        factor = self.momentum
        if factor is None:  # the plain average of all batches
            factor = 1 / self.num_batches_tracked.to(self.running_mean.dtype)
        rest = count - 1
        if isinstance(count, Tensor):
            factor = (factor * (count > 0)).to(self.running_mean.dtype)  # a domain may be absent
            rest = rest.clamp(min=1)
        unbiased = var * (count / (rest if isinstance(rest, Tensor) else max(rest, 1)))
        kept = [(self.running_mean, self.running_var)]
        if self.per_domain:
            kept = [(self.source_mean, self.source_var), *kept]
        # Without domains, the batch is of both.
        for row, buffers in enumerate(kept):
            row = min(row, len(mean) - 1)
            weight = factor[row] if isinstance(count, Tensor) else factor
            for buffer, new in zip(buffers, (mean[row], unbiased[row])):
                buffer.lerp_(new.to(buffer.dtype), weight)

    def keep_statistics_per_domain(self) -> None:
        """Add statistics of the source, equal to those of the target so far."""
        if self.running_mean is None:
            raise ValueError(
                'statistics per domain need a norm layer with running statistics, got '
                'one with track_running_stats=False'
            )
        if self.momentum is None:
            raise ValueError(
                'statistics per domain need a momentum, got None: batches are '
                'counted, not those that hold a domain'
            )
        if not self.per_domain:
            self.per_domain = True
            self.register_buffer('source_mean', self.running_mean.clone())
            self.register_buffer('source_var', self.running_var.clone())

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self._complete(state_dict, prefix, missing_keys)

    @torch.no_grad()
    def _complete(self, state_dict, prefix, missing_keys) -> None:
        """What a checkpoint of a plain batch norm lacks follows from what it has."""
        for name in ('mean', 'var') if self.per_domain else ():
            key = f'{prefix}source_{name}'
            if key not in state_dict and f'{prefix}running_{name}' in state_dict:
                getattr(self, f'source_{name}').copy_(getattr(self, f'running_{name}'))
                if key in missing_keys:
                    missing_keys.remove(key)


class DomainBatchNorm1d(DomainNorm):
    rank = 1


class DomainBatchNorm2d(DomainNorm):
    rank = 2


class DomainBatchNorm3d(DomainNorm):
    rank = 3


@contextmanager
def domains_of_images(module: nn.Module, is_source: Sequence[bool], device=None) -> Iterator[None]:
    """Within it, layers of ``module`` with statistics per domain know whose image each row is."""
    layers = [m for m in module.modules() if isinstance(m, DomainNorm) and m.per_domain]
    if not layers:
        yield
        return
    sources = sum(is_source)
    index = on_device([SOURCE if s else TARGET for s in is_source], device, torch.long)
    domains = Domains(index, (sources, len(is_source) - sources))
    for layer in layers:
        layer.domains = domains
    try:
        yield
    finally:
        for layer in layers:
            layer.domains = None
