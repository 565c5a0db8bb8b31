"""Finds out what a user's paths hold, and says it as datasets of a config.

The target is images, the source is images with labels.
"""

import codecs
import json
import os
import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from mmocr_da.arguments import some
from mmocr_da.datasets.image_files import IMAGE_SUFFIXES, read_text

from .config_text import call

#: Sources that are no path.
RENDERED, NONE, CONFIG = 'rendered', 'none', 'config'
NAMED = (CONFIG, RENDERED, NONE)
ALTERNATIVES = (
    '--source rendered draws words in the alphabet of the recognizer (--lexicon words.txt), '
    '--source FOLDER, FILE.tsv or FILE.json takes labelled images of yours, and --source none '
    'trains on the target alone'
)
#: Suffixes of files with rows of a path and, for a source, a text.
TABLES = ('.tsv', '.txt')


def target_dataset(paths: Sequence[str]) -> dict[str, Any]:
    """Return the config of an ``UnlabelledDataset`` with the images at the paths.

    Args:
        paths: Folders of images at any depth; or one LMDB, one text file with a path per line, or
            one annotation file of MMOCR.

    Raises:
        ValueError: If they are something else.
    """
    for path in paths:
        if not osp.exists(path):
            raise ValueError(
                f'target must be a folder of images, got {path!r}, which does not exist; check the '
                'path, relative ones start at the current directory'
            )
    paths = [osp.abspath(path) for path in paths]
    dataset: dict[str, Any] = dict(type='mmocr_da.UnlabelledDataset')
    if all(map(osp.isdir, paths)) and not any(map(_is_lmdb, paths)):
        return dict(dataset, img_dir=paths[0] if len(paths) == 1 else paths, pipeline=None)
    if len(paths) > 1:
        raise ValueError(
            f'several targets must all be folders, got {some(paths)}; give one of the others alone'
        )
    (path,) = paths
    if _is_lmdb(path):
        return dict(dataset, lmdb=path, pipeline=None)
    suffix = osp.splitext(path)[1].lower()
    if suffix in IMAGE_SUFFIXES:
        raise ValueError(
            f'target must be a folder of images, got the single image {path!r}; '
            f'give its folder, {osp.dirname(path)!r}'
        )
    if suffix == '.json':
        return dict(dataset, dataset=_annotations(path, 'target'), pipeline=None)
    if suffix in TABLES:
        rows = [row for row, _ in read_table(path, 'target', texts=False)]
        prefix = _folder_of_images(path, rows)
        return dict(dataset, img_list=path, img_prefix=prefix, pipeline=None)
    raise ValueError(
        'target must be a folder of images, an LMDB, a text file (.txt, .tsv) with the path of one '
        f'image per line or a .json of MMOCR, got {path!r}'
    )


def source_dataset(path: str) -> dict[str, Any]:
    """Return the config of a labelled dataset at a path.

    Args:
        path: A table with rows ``path<TAB>text``, relative to its folder or to the current
            directory; a ``.json`` of MMOCR; an LMDB with labels; or a folder that holds one of the
            first two.

    Raises:
        ValueError: If it is something else, or if a folder holds several.
    """
    if not osp.exists(path):
        raise ValueError(
            f'source must be {", ".join(NAMED)} or a path to labelled images, got {path!r}, which '
            f'does not exist; {ALTERNATIVES}'
        )
    path = osp.abspath(path)
    if _is_lmdb(path):
        return dict(type='RecogLMDBDataset', ann_file=path, pipeline=None)
    if osp.isdir(path):
        files = [
            osp.join(path, name)
            for name in sorted(os.listdir(path))
            if name.lower().endswith((*TABLES, '.json')) and not name.startswith('.')
        ]
        if len(files) != 1:
            raise ValueError(
                'a source folder must hold one file with its labels (.tsv with rows '
                f'path<TAB>text, or a .json of MMOCR), got {path!r} with {some(files)}; '
                'give the file as --source'
            )
        (path,) = files
    if path.lower().endswith('.json'):
        return _annotations(path, 'source')
    if path.lower().endswith(TABLES):
        rows = list(read_table(path, 'source'))
        _check_plain(path)
        return _table(path, _folder_of_images(path, [row for row, _ in rows]))
    raise ValueError(
        f'source must be a .tsv with rows path<TAB>text, a .json of MMOCR or an LMDB, got {path!r}'
    )


def read_table(path: str, name: str, texts: bool = True) -> Iterator[tuple[str, str | None]]:
    """Yield the path and the text of each row of a table.

    Args:
        name: Of the argument, for messages.
        texts: Whether each row must have a text; otherwise it is None where there is none.

    Raises:
        ValueError: If a row is wrong, or if there is none.
    """
    number = 0
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        image, tab, text = line.partition('\t')
        if texts and (not tab or not text.strip() or '\t' in text):
            raise ValueError(
                f'{name} needs rows path<TAB>text, got line {number} of {path!r}: {line!r}'
            )
        yield image.strip(), text.strip() if tab else None
    if not number:
        raise ValueError(f'{name} needs one row per image, got the empty file {path!r}')


def _check_plain(path: str) -> None:
    """Check that a table is as MMOCR reads it, which knows fewer forms than :func:`read_table`.

    Raises:
        ValueError: If it is not.
    """
    with open(path, 'rb') as file:
        content = file.read()
    found = ''
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found = 'a byte order mark at its start'
    else:
        for number, line in enumerate(content.decode().splitlines(), 1):
            parts = line.split('\t')
            if not line.strip():
                found = f'an empty line {number}'
            elif any(part != part.strip() for part in parts):
                found = f'spaces around the path or the text in line {number}: {line!r}'
            if found:
                break
    if found:
        raise ValueError(
            f'source must be a table in UTF-8 without byte order mark, empty lines and spaces '
            f'around the tab, as MMOCR reads it, got {path!r} with {found}; save it so'
        )


def config_sources(cfg: Config) -> tuple[list[dict[str, Any]], str]:
    """Return the labelled datasets of a config's training, and an expression for them.

    Raises:
        ValueError: If it has none, or if their files are not on this machine.
    """
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    leaves = list(_leaves(dataset, '_base_.train_dataloader.dataset')) if dataset else []
    if not leaves:
        raise ValueError(
            f'--source config needs training data in the config, got none; {ALTERNATIVES}'
        )
    missing = [
        file
        for leaf, _ in leaves
        for part in _wrapped(leaf)
        for file in _files_of(part)
        if not osp.exists(file)
    ]
    if missing:
        raise ValueError(
            f'--source config needs the training data of the config on this machine, got no '
            f'{some(missing, 3)}; relative paths start at the current directory. Instead, '
            f'{ALTERNATIVES}'
        )
    datasets = [leaf for leaf, _ in leaves]
    names = [_without_pipeline(leaf, name) for leaf, name in leaves]
    if cfg.get('train_list') == datasets and names == [name for _, name in leaves]:
        return datasets, '_base_.train_list'
    return datasets, f'[{", ".join(names)}]'


def _wrapped(leaf: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A dataset, and what it wraps."""
    yield leaf
    if isinstance(leaf.get('dataset'), dict):
        yield from _wrapped(leaf['dataset'])


def _without_pipeline(leaf: dict[str, Any], name: str) -> str:
    """An expression for a dataset whose images are not loaded, nor those of what it wraps."""
    changes = {}
    if isinstance(leaf.get('dataset'), dict):
        inner = f'{name}.dataset'
        changes['dataset'] = _without_pipeline(leaf['dataset'], inner)
        if changes['dataset'] == inner:
            del changes['dataset']
    if leaf.get('pipeline'):
        changes['pipeline'] = 'None'
    return call(changes, name) if changes else name


def _leaves(node: Any, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The datasets within a two-domain, concatenated, seeded or repeated one."""
    if isinstance(node, (list, tuple)):
        for i, part in enumerate(node):
            yield from _leaves(part, f'{name}[{i}]')
        return
    keys = ['source', 'datasets']
    if str(node.get('type')).endswith('RepeatDataset'):
        keys += ['dataset']  # batches of two domains go on at the first image by themselves
    key = next((key for key in keys if node.get(key)), None)
    if key is None:
        yield node, name
    else:
        yield from _leaves(node[key], f'{name}.{key}')


def _files_of(dataset: dict[str, Any]) -> list[str]:
    """Local files that a dataset reads first."""
    file = dataset.get('ann_file')
    if not isinstance(file, str) or not file or '://' in file + str(dataset.get('data_root')):
        return []
    return [osp.join(dataset.get('data_root') or '', file)]


def _is_lmdb(path: str) -> bool:
    return osp.isfile(osp.join(path, 'data.mdb')) or osp.basename(path) == 'data.mdb'


def _annotations(path: str, name: str) -> dict[str, Any]:
    try:
        with open(path, encoding='utf-8') as file:
            known = json.load(file).get('data_list')
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{name} must be JSON of MMOCR, got {path!r}: {error}') from error
    if not isinstance(known, list) or not known:
        raise ValueError(
            f"{name} must be JSON of MMOCR with images in 'data_list', got {path!r} without one; "
            "MMOCR's tools/dataset_converters make such files"
        )
    folder, file_name = osp.split(path)
    return dict(type='OCRDataset', data_root=folder, ann_file=file_name, pipeline=None)


def _table(path: str, prefix: str) -> dict[str, Any]:
    return dict(
        type='RecogTextDataset',
        ann_file=path,
        data_prefix=dict(img_path=prefix),
        parser_cfg=dict(type='LineStrParser', separator='\t'),
        pipeline=None,
    )


def _folder_of_images(path: str, images: Sequence[str]) -> str:
    """The folder from which the paths in a table start: the table's, or the current one."""
    sample = list(images[:: max(1, len(images) // 10)])
    for folder in (osp.dirname(path), os.getcwd()):
        if any(osp.isfile(osp.join(folder, image)) for image in sample):
            return folder
    raise ValueError(
        f'{path!r} must name images by paths that start at its folder or at the current directory, '
        f'got none of {some(sample, 3)} there'
    )
