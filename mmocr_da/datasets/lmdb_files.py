"""LMDBs of word images: opens each once per process and checks that it is complete."""

import logging
import os
import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from mmocr.datasets import RecogLMDBDataset

from mmocr_da.compat import share_lmdb_environments

_environments: dict[str, tuple[int, Any]] = {}
#: Files by the paths that they were opened by; to find a file takes longer than to read an item.
_files: dict[str, str] = {}


def open_lmdb(path: str):
    """Return the environment of an LMDB.

    LMDB forbids to open a path twice in a process, and to use an environment after a fork. So there
    is one environment per path and process. It is kept here, as datasets may be pickled.

    Raises:
        ValueError: If there is no LMDB at the path, or if it is cut off.
    """
    file = _files.get(path)
    if file is None:
        inner = osp.join(path, 'data.mdb')
        file = osp.realpath(inner if osp.isfile(inner) else path)
    process, environment = _environments.get(file, (None, None))
    if process != os.getpid():
        if environment is not None:
            environment.close()  # the parent's, inherited by fork
        environment = _open(file)
        _environments[file] = (os.getpid(), environment)
    _files[path] = file
    return environment


class SharedEnvironment:
    """Picklable stand-in for the environment of MMOCR's ``RecogLMDBDataset``."""

    def __init__(self, path: str) -> None:
        self.path = path

    def begin(self, **kwargs):
        """Begin a transaction."""
        return open_lmdb(self.path).begin(**kwargs)

    def close(self) -> None:
        """Do nothing: the environment is shared and stays open until the process ends."""


def count_samples(path: str, keys: Sequence[str]) -> int:
    """Return the number of samples that an LMDB says to have; warn if it has fewer.

    Args:
        path: The LMDB.
        keys: What it has of each sample: ``'image'``, ``'label'``.

    Raises:
        ValueError: If there is no whole LMDB, or if it does not say the number.
    """
    if not osp.exists(path):
        raise ValueError(f'lmdb must be an existing LMDB, got {path!r}; check the path')
    with open_lmdb(path).begin() as transaction:
        number = transaction.get(b'num-samples', b'0').strip()
        entries = transaction.stat()['entries']
    if not number.isdigit() or not int(number):
        raise ValueError(
            "lmdb must hold images under 'image-000000001' and so on and their number under "
            f"'num-samples', got {path!r} without the number; make it with MMOCR's "
            'tools/dataset_converters/textrecog/lmdb_converter.py'
        )
    count = int(number)
    needed = len(keys) * count + 1
    if entries < needed:
        print_log(
            f'The LMDB {path} has {entries:,} entries, and its num-samples of {count:,} needs '
            f'{needed:,}: some are missing ({", ".join(f"{key}-%09d" for key in keys)}). Images '
            'that lack one are replaced and named when they are drawn',
            logger='current',
            level=logging.WARNING,
        )
    return count


def labels_needed(name: str) -> str:
    """Say that an LMDB needs labels."""
    return (
        "a labelled LMDB must hold 'num-samples' and that number of 'image-%09d' and 'label-%09d', "
        f'got {name} without one of them; if it has no labels, use '
        'mmocr_da.UnlabelledDataset(lmdb=...)'
    )


def content_in_lmdb(path: str) -> bytes | None:
    """Return the encoded image at ``<LMDB>/<key>``; None if the path is not in an LMDB."""
    database, key = osp.split(path)
    if osp.exists(path) or not (osp.isfile(osp.join(database, 'data.mdb')) or osp.isfile(database)):
        return None
    with open_lmdb(database).begin() as transaction:
        return transaction.get(key.encode())


def database_of(dataset):
    """Return ``dataset``, or the dataset that it wraps, if its images are in an LMDB; else None."""
    while (
        dataset is not None
        and not isinstance(dataset, RecogLMDBDataset)
        and not getattr(dataset, 'lmdb_path', None)
    ):
        dataset = getattr(dataset, 'dataset', None)
    return dataset


def _open(path: str):
    import lmdb

    if osp.isdir(path):
        inner = sorted(
            entry.name for entry in os.scandir(path) if osp.isfile(osp.join(entry.path, 'data.mdb'))
        )
        below = (
            (
                f'; below it are LMDBs: {", ".join(inner[:10])}. Give each as a separate '
                'dataset, in a list'
            )
            if inner
            else ''
        )
        raise ValueError(f'an LMDB is a folder with a file data.mdb, got {path!r} without{below}')
    try:
        environment = lmdb.open(
            path,
            subdir=False,
            readonly=True,
            lock=False,
            readahead=False,
            meminit=False,
            max_readers=1,
        )
    except lmdb.Error as error:
        raise ValueError(
            f'an LMDB is needed, got {path!r}, which cannot be opened: {error}'
        ) from error
    # Reading a page beyond the end of the file is a bus error, which kills the process silently.
    needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    if osp.getsize(path) < needed:
        environment.close()
        raise ValueError(
            f'an LMDB must be whole, got {path!r} of {osp.getsize(path)} bytes, of '
            f'which {needed} are needed: it was cut off; copy or download it again'
        )
    return environment


share_lmdb_environments(SharedEnvironment)
