"""Alignment: the two halves of a batch in, named losses out."""
from .discriminators import DomainDiscriminator, PublishedDomainDiscriminator
from .domain_features import DomainFeatures
from .global_alignment import GlobalAlignment
from .local_alignment import LocalAlignment

__all__ = [
    'DomainDiscriminator', 'DomainFeatures', 'GlobalAlignment', 'LocalAlignment',
    'PublishedDomainDiscriminator'
]
