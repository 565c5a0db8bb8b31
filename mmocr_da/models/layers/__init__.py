"""Layers, and functions that convert the batch norms of a model to them."""

from .batch_instance_norm import (
    BatchInstanceNorm,
    BatchInstanceNorm1d,
    BatchInstanceNorm2d,
    BatchInstanceNorm3d,
)
from .domain_norm import (
    DomainBatchNorm1d,
    DomainBatchNorm2d,
    DomainBatchNorm3d,
    DomainNorm,
    domains_of_images,
)
from .gradient_reversal import reverse_gradient
from .normalization import normalize
from .replace_norm import convert_batch_norm, keep_statistics_per_domain, with_bin

__all__ = [
    'BatchInstanceNorm',
    'BatchInstanceNorm1d',
    'BatchInstanceNorm2d',
    'BatchInstanceNorm3d',
    'DomainBatchNorm1d',
    'DomainBatchNorm2d',
    'DomainBatchNorm3d',
    'DomainNorm',
    'convert_batch_norm',
    'domains_of_images',
    'keep_statistics_per_domain',
    'normalize',
    'reverse_gradient',
    'with_bin',
]
