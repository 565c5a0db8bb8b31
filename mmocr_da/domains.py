"""The names of the two domains.

Only :class:`~mmocr_da.datasets.TwoDomainDataset` tags data samples with them, as the metainfo
``domain``. A sample without this tag is a labelled image, as in datasets of one domain: models
treat it as source, and refuse it if they need the target.
"""

from collections.abc import Sequence

from mmocr_da.arguments import some

DOMAINS = ('source', 'target')


def missing_domain(domain: str, needed_by: Sequence[str], what: str) -> str:
    """Say that a training lacks images of a domain.

    >>> print(missing_domain('target', ["the objective 'entropy'"], 'and there is none'))
    the training needs images of the target, for the objective 'entropy', and there is none: ...
    """
    alone = (
        '; to train on the target alone, set model.supervised_weight=0 and take objectives that '
        'need no source, such as mmocr_da.SelfTraining'
    )
    return (
        f'the training needs images of the {domain}, for {some(needed_by)}, {what}: give '
        "train_dataloader a dataset of type 'mmocr_da.TwoDomainDataset' with source and target, "
        "and a sampler of type 'mmocr_da.TwoDomainSampler', which puts both into each batch"
        f'{alone * (domain == "source")}'
    )
