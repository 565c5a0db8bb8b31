"""LMDBs of word images: opens each once per process and checks that it is complete."""

import os
import os.path as osp
from typing import Any

from mmocr.datasets import RecogLMDBDataset

from mmocr_da.compat import share_lmdb_environments

_environments: dict[str, tuple[int, Any]] = {}


def open_lmdb(path: str):
    """Return the environment of an LMDB.

    LMDB forbids to open a path twice in a process, and to use an environment after a fork. So there
    is one environment per path and process. It is kept here, as datasets may be pickled.

    Raises:
        ValueError: If there is no LMDB at the path, or if it is cut off.
    """
    inner = osp.join(path, 'data.mdb')
    path = osp.realpath(inner if osp.isfile(inner) else path)
    process, environment = _environments.get(path, (None, None))
    if process != os.getpid():
        if environment is not None:
            environment.close()  # the parent's, inherited by fork
        environment = _open(path)
        _environments[path] = (os.getpid(), environment)
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


class LMDBImages(RecogLMDBDataset):
    """MMOCR's dataset, but with encoded images, which the pipeline decodes."""

    def get_data_info(self, idx: int) -> dict:
        """Return the annotation of an item, with an ``img_path`` unique among all databases."""
        data = super().get_data_info(idx)
        data['img_path'] = f'{self.ann_file}/{data["img_key"]}'
        return data

    def prepare_data(self, idx: int):
        """Return the item ``idx`` after the pipeline; None if it has no image.

        Raises:
            ValueError: If it has no image and the dataset is in test mode.
        """
        data = self.get_data_info(idx)
        with self.env.begin() as transaction:
            content = transaction.get(data['img_key'].encode())
        if content is None and self.test_mode:
            raise ValueError(
                f'an LMDB must hold an image for each label, got {self.ann_file!r} '
                f'without {data["img_key"]}'
            )
        if content is None:
            return None
        return self.pipeline(dict(data, content=content))


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
