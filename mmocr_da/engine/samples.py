"""Draws images from the datasets of a config, as they are before the pipeline."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmocr.utils import register_all_modules
from numpy.typing import NDArray

from mmocr_da.arguments import check_count
from mmocr_da.datasets import TwoDomainDataset
from mmocr_da.datasets.building import build_dataset, places
from mmocr_da.datasets.image_loading import LoadImageFromFile, load_as_shown
from mmocr_da.datasets.lmdb_files import database_of
from mmocr_da.datasets.notes import collect_notes
from mmocr_da.domains import DOMAINS
from mmocr_da.registry import DATASETS

#: An item of a dataset: 'img_path', 'instances', and with an LMDB 'content' and 'color_type'.
Item = dict[str, Any]


def draw_samples(
    cfg: Config, num: int, seed: int = 0, dataset: int = -1
) -> tuple[list[Item], list[str]]:
    """Draw ``num`` random items of one dataset of ``test_dataloader``, by a seed.

    Returns:
        The items, and the text of each (its ground truth).

    Raises:
        ValueError: If there is no dataset of this index, or if its images have no labels.
    """
    chosen = dataset_of(cfg.test_dataloader, dataset)
    items = draw_items([chosen], num, seed)
    texts = [text_of(item) for item in items]
    if not any(texts):
        raise ValueError(
            f'the test dataset must have labels, got none for {len(items)} images of '
            f'{chosen.get("type")}; choose another one by --dataset'
        )
    return items, texts


def domain_items(
    cfg: Config, num: int, seed: int = 0, split: str | None = None
) -> dict[str, list[Item]]:
    """Draw ``num`` random items of each domain, by a seed.

    Args:
        cfg: A config with images of both domains.
        num: Number of items of each domain, at most.
        seed: Which items are drawn.
        split: ``'train'`` for the source and the target of ``train_dataloader``, a
            ``TwoDomainDataset``, whose target has no labels; ``'test'`` for the first and the last
            dataset of ``test_dataloader``. None for the test data if these are two datasets, else
            for the training data.

    Returns:
        The items by domain.

    Raises:
        ValueError: If the config has no such datasets.
    """
    register_all_modules(init_default_scope=True)
    tested = (cfg.get('test_dataloader') or {}).get('dataset', {}).get('datasets') or []
    if split is None:
        split = 'test' if len(tested) == 2 else 'train'
    if split == 'test':
        if len(tested) < 2:
            raise ValueError(
                'the test_dataloader must have a dataset of the source and, as the last one, one '
                f'of the target, got {len(tested) or 1} dataset; use the training data'
            )
        parts = [[tested[0]], [tested[-1]]]
    else:
        parts = _trained(cfg)
    items = {domain: draw_items(part, num, seed) for domain, part in zip(DOMAINS, parts)}
    if split == 'train':
        items['target'] = [dict(item, instances=[]) for item in items['target']]
    return items


def _trained(cfg: Config) -> list[list[Any]]:
    """Configs of the source and of the target datasets that a config trains with."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    cls = DATASETS.get(str(dataset.get('type')).removeprefix('mmocr_da.'))
    if not (isinstance(cls, type) and issubclass(cls, TwoDomainDataset)):
        raise ValueError(
            'the config must have images of both domains: two datasets in test_dataloader, source '
            'and target, or a TwoDomainDataset in train_dataloader, got a '
            f'{dataset.get("type")}; give the config of the adaptation'
        )
    parts = [dataset.get(domain) for domain in DOMAINS]
    if parts[0] is None:
        raise ValueError(
            'the TwoDomainDataset of train_dataloader must have a source, got source=None; use '
            'test data of both domains'
        )
    return [list(part) if isinstance(part, (list, tuple)) else [part] for part in parts]


def dataset_of(dataloader: dict[str, Any], index: int = -1) -> dict[str, Any]:
    """Return the config of one of the datasets of a ``test_dataloader``.

    Raises:
        ValueError: If there is no dataset of this index.
    """
    parts = dataloader['dataset'].get('datasets')
    if parts is None:
        return dataloader['dataset']
    if not -len(parts) <= index < len(parts):
        raise ValueError(
            f'dataset must be the index of one of the {len(parts)} test datasets, '
            f'0 to {len(parts) - 1}, got {index}'
        )
    return parts[index]


def draw_items(datasets: Sequence[dict[str, Any]], num: int, seed: int = 0) -> list[Item]:
    """Draw ``num`` random items of datasets, which are given by their configs, in their order."""
    check_count('num', num)
    return items_of(build_plainly(datasets), num, seed)


def build_plainly(datasets: Sequence[dict[str, Any]]) -> list[BaseDataset]:
    """Build datasets, which are given by their configs, without their pipelines."""
    register_all_modules(init_default_scope=True)
    built = [build_dataset(without_pipelines(dataset)) for dataset in datasets]
    for dataset in built:
        load_as_shown(dataset)
    return built


def items_of(built: Sequence[BaseDataset], num: int, seed: int = 0) -> list[Item]:
    """Draw ``num`` random items of datasets without pipelines, in their order."""
    chosen = np.random.default_rng(seed).permutation(sum(map(len, built)))[:num]
    return [_item(dataset, i) for dataset, i in places(built, sorted(chosen))]


def _item(dataset: BaseDataset, index: int) -> Item:
    item: Item = dataset[index]
    database = database_of(dataset)
    if database is not None:
        item['color_type'] = database.color_type
    return item


def text_of(item: Item) -> str:
    """Return the label of an item; empty if it has none."""
    return next((label['text'] for label in item.get('instances', ()) if 'text' in label), '')


def without_pipelines(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a dataset without pipelines, also in its parts."""
    dataset = copy.deepcopy(dict(dataset))
    if 'datasets' in dataset:
        dataset['datasets'] = [without_pipelines(part) for part in dataset['datasets']]
    elif isinstance(dataset.get('dataset'), dict):
        dataset['dataset'] = without_pipelines(dataset['dataset'])
    else:
        # In test mode an image that cannot be read is an error; else another one would replace it.
        return dict(dataset, pipeline=[], test_mode=True)
    dataset.pop('pipeline', None)
    return dataset


def load_pictures(items: Sequence[Item]) -> list[NDArray[Any]]:
    """Return the RGB images of items; print which of them are blank or had to be converted."""
    loader = LoadImageFromFile()
    with collect_notes() as notes:
        pictures = [loader(dict(item))['img'][..., ::-1] for item in items]
    named = defaultdict(list)
    for kind, path in notes:
        named[kind].append(path)
    for kind, paths in named.items():
        print(f'{len(paths)} of {len(items)} {kind}: {", ".join(paths)}')
    return pictures
