"""The names of the two domains.

Only :class:`~mmocr_da.datasets.TwoDomainDataset` tags data samples with them, as the metainfo
``domain``. A sample without this tag is a labelled image, as in datasets of one domain: models
treat it as source, and refuse it if they need the target.
"""

DOMAINS = ('source', 'target')
