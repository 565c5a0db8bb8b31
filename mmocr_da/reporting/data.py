"""The section about the data of a run: how many images of each domain, and a few of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmocr_da.domains import DOMAINS
from mmocr_da.engine.samples import Item, build_plainly, items_of, load_pictures, text_of
from mmocr_da.visualization.page import Block, Literal, Paragraph, Section, Sheet, Table, Text
from mmocr_da.visualization.sheet import Cell, Line

#: Images of each part that are shown.
SHOWN = 8
#: Settings of a dataset that say where its images and labels are.
PLACES = ('data_root', 'ann_file', 'img_dir', 'img_list', 'lmdb', 'lexicon')


def data_section(cfg: Config, seed: int = 0) -> Section:
    """Make the section.

    Args:
        cfg: The config that was trained.
        seed: Which images are drawn.

    Raises:
        ValueError, OSError: If the data are not where the config says.
    """
    rows: list[Sequence[Text]] = [['', 'images', 'where']]
    groups = {}
    for name, datasets in data_parts(cfg).items():
        built = build_plainly(datasets)
        rows.append([name, f'{sum(map(len, built)):,}', _places(datasets)])
        if name != 'test':
            groups[name] = _cells(items_of(built, SHOWN, seed), labelled=name != 'target')
    blocks: list[Block] = [Table(rows), Sheet(groups)]
    if 'target' in groups:
        blocks.insert(0, Paragraph('Labels of the target are not used in the training.'))
    return Section('Data', blocks)


def data_parts(cfg: Config) -> dict[str, list[Any]]:
    """Return the configs of datasets by what they are for.

    These are ``source`` and ``target`` of a :class:`~mmocr_da.datasets.TwoDomainDataset`, else
    ``training``; and ``test``.

    >>> cfg = Config(dict(train_dataloader=dict(dataset=dict(type='A'))))
    >>> list(data_parts(cfg))
    ['training']
    """
    parts: dict[str, list[Any]] = {}
    if dataset := (cfg.get('train_dataloader') or {}).get('dataset'):
        for domain in DOMAINS:
            if dataset.get(domain):
                part = dataset[domain]
                parts[domain] = list(part) if isinstance(part, (list, tuple)) else [part]
        if not parts:
            parts['training'] = [dataset]
    if tested := (cfg.get('test_dataloader') or {}).get('dataset'):
        parts['test'] = list(tested.get('datasets') or [tested])
    return parts


def _places(datasets: Sequence[Mapping[str, Any]]) -> Text:
    found: list[str] = []
    for dataset in datasets:
        inner = dataset.get('datasets') or dataset.get('dataset')
        if inner:
            found += _places(inner if isinstance(inner, (list, tuple)) else [inner])
            continue
        values = [str(dataset[key]) for key in PLACES if dataset.get(key)]
        found.append(Literal(' '.join(values) or str(dataset.get('type'))))
    return [part for i, place in enumerate(found) for part in ([place] if not i else [', ', place])]


def _cells(items: Sequence[Item], labelled: bool) -> list[Cell]:
    cells = []
    for item in items:
        try:
            (picture,) = load_pictures([item])
        except OSError:  # no image; the log of the training has named it
            continue
        # A scene has many texts.
        label = text_of(item) if labelled and len(item.get('instances', ())) == 1 else ''
        cells.append(Cell(picture, [Line('label', [(label, None)])] if label else []))
    return cells
