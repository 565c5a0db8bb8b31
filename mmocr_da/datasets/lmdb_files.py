"""LMDBs of word images: one environment per path and process, whole ones only."""

import os
import os.path as osp
from typing import Any

from mmocr.datasets import RecogLMDBDataset

from mmocr_da.compat import share_lmdb_environments

_environments: dict[str, tuple[int, Any]] = {}


def open_lmdb(path: str):
    """The environment of an LMDB; ValueError if there is none or it is cut off.

    LMDB forbids to open a path twice in a process, and to use it after a fork: hence one
    environment per path and process, kept here and not in a dataset, which may be pickled.
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
    """What MMOCR's ``RecogLMDBDataset`` takes for its own environment; can be pickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def begin(self, **kwargs):
        """A transaction."""
        return open_lmdb(self.path).begin(**kwargs)

    def close(self) -> None:
        """Others may read it: it stays open until the process ends."""


class LMDBImages(RecogLMDBDataset):
    """MMOCR's dataset, which hands on the bytes of an image for its pipeline to decode."""

    def get_data_info(self, idx: int) -> dict:
        """What is annotated, with a name of the image that no other database has."""
        data = super().get_data_info(idx)
        data['img_path'] = f'{self.ann_file}/{data["img_key"]}'
        return data

    def prepare_data(self, idx: int):
        """The item ``idx`` after the pipeline; None if there is no image, in testing an error."""
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
    """The bytes of the image with the path ``<LMDB>/<key>``; None if the path is of no LMDB."""
    database, key = osp.split(path)
    if osp.exists(path) or not (osp.isfile(osp.join(database, 'data.mdb')) or osp.isfile(database)):
        return None
    with open_lmdb(database).begin() as transaction:
        return transaction.get(key.encode())


def database_of(dataset):
    """The dataset whose images are in an LMDB, be it ``dataset`` or what it wraps; else None."""
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
                f'; below it are LMDBs: {", ".join(inner[:10])}. Give each as a dataset of its '
                'own, in a list'
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
    # A page that is not in the file is a bus error, which ends the process without a word.
    needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    if osp.getsize(path) < needed:
        environment.close()
        raise ValueError(
            f'an LMDB must be whole, got {path!r} of {osp.getsize(path)} bytes, of '
            f'which {needed} are needed: it was cut off; copy or download it again'
        )
    return environment


share_lmdb_environments(SharedEnvironment)
