"""The names of the two domains.

:class:`~mmocr_da.datasets.TwoDomainDataset` alone tags data samples with them, as the metainfo
``domain``. A sample without this tag is a labelled image, as those of a dataset of one domain are.
"""

DOMAINS = ('source', 'target')
