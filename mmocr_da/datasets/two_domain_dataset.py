"""Labelled source and unlabelled target images as one dataset, or the target alone."""

from collections.abc import Mapping, Sequence

from mmengine.dataset import BaseDataset
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

from mmocr_da.arguments import warn_unused
from mmocr_da.domains import DOMAINS, missing_domain
from mmocr_da.registry import DATASETS
from mmocr_da.unicode import UnicodeForm

from .building import build_datasets, of_type, set_pipeline, unique
from .seeded_dataset import SeededDataset
from .seeded_sampler import Draw
from .unlabelled_dataset import UnlabelledDataset


@DATASETS.register_module()
class TwoDomainDataset(SeededDataset):
    """Source images with their text, followed by target images without.

    Each data sample is tagged with its domain, as metainfo ``domain='source'`` or ``'target'``; no
    other place writes this tag. Labelled datasets given as target are wrapped in
    :class:`UnlabelledDataset`, which drops their labels.

    As in :class:`SeededDataset`, broken images are replaced (by others of their domain) and the
    sampler, :class:`TwoDomainSampler`, seeds the random transforms. Batches of a sampler that does
    not mix domains are an error.

    Args:
        source: Config(s) of labelled datasets; several are concatenated. None for the target alone.
        target: Config(s) of datasets, labelled or not; only their images are used.
        pipeline: For all datasets that have no pipeline.
        target_pipeline: For the target datasets, if not ``pipeline``.
        unicode_form, skip_unusable: See :class:`SeededDataset`; they concern the source labels.
        lazy_init: As in MMEngine.
    """

    def __init__(
        self,
        source: dict | BaseDataset | Sequence | None,
        target: dict | BaseDataset | Sequence,
        pipeline: Sequence | None = None,
        target_pipeline: Sequence | None = None,
        unicode_form: UnicodeForm | None = None,
        skip_unusable: bool = False,
        lazy_init: bool = False,
    ) -> None:
        sources = [] if source is None else build_datasets(source, 'source')
        targets = build_datasets(target, 'target')
        if not sources and source is not None:
            raise ValueError(
                f'source needs at least one dataset, got {source!r}; to train on the target alone, '
                'set source=None'
            )
        if not targets:
            raise ValueError(f'target needs at least one dataset, got {target!r}')
        if any(isinstance(dataset, UnlabelledDataset) for dataset in sources):
            raise ValueError(
                'source needs labelled datasets, got an UnlabelledDataset; images '
                'without text belong to the target'
            )
        unlabelled = {id(dataset): _without_labels(dataset) for dataset in unique(targets)}
        targets = [unlabelled[id(dataset)] for dataset in targets]
        if target_pipeline is None:
            target_pipeline = pipeline
        elif source is None and pipeline is not None:
            warn_unused('pipeline', '[...]', 'there is no source, and the target has its own')
        if source is None and (unicode_form is not None or skip_unusable):
            options = dict(unicode_form=unicode_form, skip_unusable=skip_unusable)
            warn_unused('TwoDomainDataset', options, 'there is no source, and so no label')
        set_pipeline(sources, pipeline, 'pipeline')
        set_pipeline(targets, target_pipeline, 'pipeline or target_pipeline')
        self.num_source_datasets = len(sources)
        self._set_up(sources + targets, unicode_form, skip_unusable, lazy_init)

    @property
    def domain_sizes(self) -> tuple[int, int]:
        """Numbers of source and of target images, in this order."""
        self.full_init()
        source = self.cumulative_sizes[self.num_source_datasets - 1] * bool(
            self.num_source_datasets
        )
        return source, len(self) - source

    def __getitems__(self, draws: Sequence[int]) -> list[dict]:
        """Return the items of a batch; ``DataLoader`` passes the indexes that the sampler drew.

        Raises:
            ValueError: If the indexes are not draws of a :class:`TwoDomainSampler`.
        """
        if not all(isinstance(draw, Draw) for draw in draws):
            raise ValueError(
                'TwoDomainDataset needs a sampler that puts both domains into each batch, got '
                'indexes of another one, such as DefaultSampler: set train_dataloader.sampler=dict('
                "_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=<as in the "
                'dataloader>); a custom one must be a subclass of it'
            )
        return [self[draw] for draw in draws]

    def _group_of(self, idx: int) -> tuple[int, int, str]:
        num_source, num_target = self.domain_sizes
        return (
            (num_source, num_target, 'target ') if idx >= num_source else (0, num_source, 'source ')
        )

    def _check_sample(self, sample: BaseDataElement, idx: int) -> None:
        is_target = idx >= self.domain_sizes[0]
        if is_target:
            _check_no_label(sample)
        sample.set_metainfo(dict(domain=DOMAINS[is_target]))


def check_sampler(dataloader: DataLoader) -> None:
    """Check that the batches of a dataloader have the mix of domains that its sampler promises.

    Raises:
        ValueError: If batch sizes of dataloader and sampler differ, or if a wrapper around a
            :class:`TwoDomainDataset` hides its domains from the sampler.
    """
    sampler, dataset = getattr(dataloader, 'sampler', None), dataloader.dataset
    size = getattr(sampler, 'batch_size', None)
    if size is not None and getattr(dataloader, 'batch_size', None) not in (None, size):
        raise ValueError(
            f'train_dataloader.batch_size must equal the batch_size of its '
            f'{type(sampler).__name__}, got {dataloader.batch_size} and {size}: the mix of '
            'domains would change from batch to batch'
        )
    if (
        not hasattr(dataset, 'domain_sizes')
        and next(of_type(dataset, TwoDomainDataset), None) is not None
    ):
        raise ValueError(
            'TwoDomainDataset must be train_dataloader.dataset itself, so that a TwoDomainSampler '
            f'can put both domains into each batch, got one within a {type(dataset).__name__}: put '
            'the datasets into its source and target, and leave the wrapper out'
        )


def check_domains(dataloader: DataLoader, needed: Mapping[str, Sequence[str]]) -> None:
    """Check that a :class:`TwoDomainDataset` and its sampler give the domains that are needed.

    Args:
        dataloader: The one that a model is trained with.
        needed: The domains that the model needs, and what needs each.

    Raises:
        ValueError: If there is no image of one of them, or if no batch has one.
    """
    dataset = dataloader.dataset
    if not isinstance(dataset, TwoDomainDataset):
        return
    counts = getattr(dataloader.sampler, 'counts', ())
    for i, domain in enumerate(DOMAINS):
        if domain not in needed:
            continue
        if not dataset.domain_sizes[i]:
            raise ValueError(
                missing_domain(domain, needed[domain], 'and TwoDomainDataset has none of them')
            )
        if len(counts) == len(DOMAINS) and not counts[i]:
            what = 'and the ratio of TwoDomainSampler leaves them out'
            raise ValueError(missing_domain(domain, needed[domain], what))


def _without_labels(dataset: BaseDataset) -> UnlabelledDataset:
    if isinstance(dataset, UnlabelledDataset):
        return dataset
    pipeline = getattr(dataset, 'pipeline', None)
    serialize = getattr(dataset, 'serialize_data', True)
    unlabelled = UnlabelledDataset(dataset=dataset, serialize_data=serialize)
    if pipeline is not None:
        unlabelled.pipeline = pipeline
    return unlabelled


def _check_no_label(sample: BaseDataElement) -> None:
    """Raise if the data sample of a target image carries a label."""
    text = getattr(sample.get('gt_text'), 'item', '')
    instances = sample.get('gt_instances')
    if text or (instances is not None and len(instances)):
        label = repr(text) if text else f'{len(instances)} instances'
        raise ValueError(
            f'the target image {sample.get("img_path")} must carry no label after its pipeline, '
            f'got {label}: remove the transform that loads or makes it from target_pipeline'
        )
