"""Data: image files and their annotations go in, items of two domains in fixed batches come out."""
from .two_domain_dataset import TwoDomainDataset
from .two_domain_sampler import TwoDomainSampler
from .unlabelled_dataset import UnlabelledDataset

__all__ = ['TwoDomainDataset', 'TwoDomainSampler', 'UnlabelledDataset']
