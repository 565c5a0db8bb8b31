"""Images of both domains on which an adaptation is looked at, prepared as in testing."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose, pseudo_collate
from mmengine.structures import LabelData

from mmocr_da.datasets.building import flatten, of_type, places
from mmocr_da.datasets.image_loading import load_as_shown
from mmocr_da.datasets.normalize_text import NormalizeText
from mmocr_da.datasets.seeded_dataset import SeededDataset
from mmocr_da.datasets.two_domain_dataset import TwoDomainDataset
from mmocr_da.domains import DOMAINS

from ..inference import test_pipeline

Item = dict[str, Any]


@dataclass
class HeldOut:
    """Items of each domain after their pipeline; those of the target have no label.

    Attributes:
        source, target: Items with ``inputs`` and ``data_samples``.
        origin: Where they come from, for the log.
    """

    source: list[Item]
    target: list[Item]
    origin: str

    def batches(self, domain: str, size: int) -> Iterator[Item]:
        """Yield batches of a domain. Images of similar width are together, so few are padded."""
        items = sorted(getattr(self, domain), key=lambda item: tuple(item['inputs'].shape[::-1]))
        for start in range(0, len(items), size):
            yield _batch(items[start : start + size])

    def first(self, count: int) -> Item:
        """Return one batch with the first images of both domains."""
        return _batch([*self.source[:count], *self.target[:count]])


def _batch(items: list[Item]) -> Item:
    """A batch whose data samples may be changed."""
    batch: Item = pseudo_collate(items)
    return dict(batch, data_samples=copy.deepcopy(batch['data_samples']))


def held_out_images(
    candidates: Mapping[str, BaseDataset], cfg: Config, count: int, labelled: bool = True
) -> HeldOut:
    """Load a fixed selection of images of each domain, evenly spread over its datasets.

    They are those of the first dataset that is a :class:`TwoDomainDataset`, whose images carry
    their domain. If none is, those of the last one, and all are source. They pass the pipeline of
    the test data; without test data they pass that of the dataset.

    Args:
        candidates: Datasets by their name, for the log.
        cfg: The config, with the pipeline of the test data.
        count: Most images of a domain.
        labelled: Whether the source keeps its labels.
    """
    for origin, dataset in candidates.items():
        two = next(of_type(dataset, TwoDomainDataset), None)
        if two is not None:
            break
    pipeline = _pipeline(cfg)
    if two is None:
        domains = [_of_one(dataset, pipeline, count), []]
    else:
        domains = _of_two(two, pipeline, count)
    if pipeline is None:
        origin += ', with its augmentation, since there is no test_dataloader'
    for items, domain in zip(domains, DOMAINS):
        for item in items:
            _tag(item['data_samples'], domain, labelled and domain == 'source')
    source, target = domains
    return HeldOut(source, target, origin)


def _pipeline(cfg: Config) -> list[Any] | None:
    for key in ('test_dataloader', 'val_dataloader'):
        if cfg.get(key):
            return test_pipeline(Config(dict(test_dataloader=cfg[key])))
    return None


def _of_two(dataset: TwoDomainDataset, pipeline: list[Any] | None, count: int) -> list[list[Item]]:
    dataset = copy.copy(dataset)
    dataset.full_init()
    form = dataset.unicode_form
    dataset.datasets = [_as_tested(part, pipeline, form) for part in dataset.datasets]
    sizes = dataset.domain_sizes
    return [
        [dataset[start + i] for i in spread(size, count)]
        for start, size in zip((0, sizes[0]), sizes)
    ]


def _of_one(dataset: BaseDataset, pipeline: list[Any] | None, count: int) -> list[Item]:
    seeded = next(of_type(dataset, SeededDataset), None)
    form = seeded.unicode_form if seeded else None
    parts = [
        _as_tested(part, pipeline, form)
        for part in (seeded.datasets if seeded else flatten(dataset))
    ]
    found = []
    for part, i in places(parts, spread(sum(map(len, parts)), count)):
        item = part.prepare_data(i)
        if item is not None:  # MMOCR's answer to a broken image
            found.append(item)
    return found


def _as_tested(dataset: BaseDataset, pipeline: list[Any] | None, form: Any = None) -> BaseDataset:
    """A dataset with another pipeline; the one of the training stays as it is."""
    dataset = copy.copy(dataset)
    dataset.full_init()
    if pipeline is not None:
        dataset.pipeline = Compose(copy.deepcopy(pipeline))
        if form is not None:
            dataset.pipeline.transforms.insert(0, NormalizeText(form))
        load_as_shown(dataset)
    return dataset


def spread(size: int, count: int) -> list[int]:
    """At most ``count`` indexes below ``size``, evenly spread.

    >>> spread(10, 4), spread(2, 4)
    ([0, 2, 5, 7], [0, 1])
    """
    count = min(size, count)
    return [i * size // count for i in range(count)]


def _tag(sample: Any, domain: str, labelled: bool) -> None:
    sample.set_metainfo(dict(domain=domain))
    if labelled:
        return
    if 'gt_text' in sample:
        sample.gt_text = LabelData(item='')
    if 'gt_instances' in sample:
        del sample.gt_instances
