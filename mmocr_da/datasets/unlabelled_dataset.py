"""Images of one domain without labels."""

import copy
import os
import os.path as osp
from collections.abc import Callable, Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmocr_da.arguments import check_list, check_text
from mmocr_da.registry import DATASETS

from .building import build_datasets, unique
from .image_files import IMAGE_SUFFIXES, describe, find_images, read_text
from .image_loading import load_as_shown
from .lazy_list import LazyList
from .lmdb_files import count_samples, database_of, open_lmdb
from .rendered_words import RenderedWords

#: Keys that are taken over from a labelled dataset. All others are dropped, as they may be labels.
KEPT_KEYS = ('img_path', 'img_key', 'height', 'width')


@DATASETS.register_module()
class UnlabelledDataset(BaseDataset):
    """Images without labels, from a folder, a list of paths, an LMDB or a labelled dataset.

    Labels are dropped here, before a pipeline or a model can see them. Each image has the
    annotation ``dict(text='')``, so that MMOCR's training pipelines of recognizers run unchanged.
    Images of a dataset for detectors, whose annotations have boxes or polygons, have none.

    Of an LMDB no list of images is made: time and memory at the start do not grow with it.

    Args:
        img_dir: Folder of images, or a list of folders, searched recursively, in sorted order;
            a file that is linked is listed once. The log says which files are left out.
        img_list: Text file with the path of one image per line, in UTF-8, or in UTF-16 with a byte
            order mark. What follows a tab, such as a label, is not read.
        img_prefix: Folder that the paths of ``img_list`` are relative to.
        lmdb: LMDB with the keys ``num-samples`` and ``image-%09d`` (from 1). Its labels, if any,
            are not read.
        dataset: Config of a labelled MMOCR dataset, or a built one. Its pipeline is not run.
        instances: The annotations of every image; ``()`` suits the pipelines of detectors. None for
            ``dict(text='')``, or for none if ``dataset`` is one for detectors.
        pipeline: See :class:`mmengine.dataset.BaseDataset`.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: If not exactly one of ``img_dir``, ``img_list``, ``lmdb`` and ``dataset`` is
            given, or if there is no image in it.
    """

    def __init__(
        self,
        img_dir: str | Sequence[str] | None = None,
        img_list: str | None = None,
        img_prefix: str = '',
        lmdb: str | None = None,
        dataset: BaseDataset | dict | None = None,
        instances: Sequence[dict] | None = None,
        pipeline: Sequence | None = None,
        **kwargs,
    ) -> None:
        given = dict(img_dir=img_dir, img_list=img_list, lmdb=lmdb, dataset=dataset)
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                'UnlabelledDataset needs exactly one of img_dir, img_list, lmdb and '
                f'dataset, got {", ".join(given) or "none of them"}'
            )
        ((self._kind, self._origin),) = given.items()
        for name, value in dict(img_list=img_list, lmdb=lmdb).items():
            if value is not None and not isinstance(value, str):
                raise ValueError(
                    f'{name} must be one path, got {value!r}; give each of several as a '
                    'separate UnlabelledDataset, in a list'
                )
        if pipeline is not None:
            check_list('pipeline', pipeline, (dict, Callable), 'transforms')
        if not (img_dir is None or isinstance(img_dir, (str, os.PathLike))):
            check_list('img_dir', img_dir, (str, os.PathLike), 'folders')
        if isinstance(dataset, (str, int, float)):
            raise ValueError(f'dataset must be a dataset or its config, got {dataset!r}')
        check_text('img_prefix', img_prefix, optional=False)
        if instances is not None:
            check_list('instances', instances, dict, 'instances')
        self.img_prefix = img_prefix
        self.instances = instances if instances is None else [dict(i) for i in instances]
        self.lmdb_path = lmdb
        self.color_type = 'color'
        super().__init__(pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict] | LazyList:
        """Return ``[dict(img_path=..., instances=[dict(text='')]), ...]``, in a fixed order."""
        data_list = getattr(self, f'_load_{self._kind}')(self._origin)
        # Drop the labelled dataset: its labels would stay in memory.
        self._origin = None
        if self.instances is None:
            self.instances = [dict(text='')]
        if isinstance(data_list, LazyList):
            self.serialize_data = False
            return data_list
        return [dict(data, instances=copy.deepcopy(self.instances)) for data in data_list]

    def _load_img_dir(self, folders: str | Sequence[str]) -> list[dict]:
        folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
        folders = [os.fspath(folder) for folder in folders]
        if not folders:
            raise ValueError('img_dir must be a folder or a list of folders, got an empty list')
        for folder in folders:
            if not osp.isdir(folder):
                raise ValueError(
                    f'img_dir must be an existing folder, got {folder!r}; check the '
                    'path, relative ones start at the current directory; give several '
                    'folders as a list'
                )
        paths, left_out = find_images(folders)
        name = ', '.join(folders)
        others = f'; left out: {describe(left_out)}' if left_out else ''
        if not paths:
            raise ValueError(
                f'img_dir must hold images ({", ".join(IMAGE_SUFFIXES)}), got '
                f'{name!r} with none in it or below{others}; is it the right folder?'
            )
        if left_out:
            print_log(f'img_dir {name}: {len(paths)} images{others}', logger='current')
        return [dict(img_path=path) for path in paths]

    def _load_img_list(self, path: str) -> list[dict]:
        if not osp.isfile(path):
            raise ValueError(
                f'img_list must be an existing text file, got {path!r}; check the '
                'path, relative ones start at the current directory'
            )
        lines = read_text(path).split('\n')
        names = [line.partition('\t')[0].strip() for line in lines if line.strip()]
        if not names:
            raise ValueError(f'img_list must name one image per line, got the empty file {path!r}')
        paths = [osp.join(self.img_prefix, name) for name in names]
        # Otherwise a wrong prefix, or labels after the paths, would look like broken images.
        some = paths[:: max(1, len(paths) // 10)]
        if '://' not in paths[0] and not any(map(osp.isfile, some)):
            raise ValueError(
                f'img_list must name one image per line and nothing else, got '
                f'{path!r}: {len(some)} of its {len(paths)} images were looked for, '
                f'and none exists ({paths[0]!r}); set img_prefix to the folder that '
                'the paths start from'
            )
        return [dict(img_path=path) for path in paths]

    def _load_lmdb(self, path: str) -> LazyList:
        return LazyList(self._of_lmdb, range(1, count_samples(path, keys=('image',)) + 1))

    def _of_lmdb(self, number: int) -> dict:
        """Make the annotation of an image of the LMDB."""
        key = f'image-{number:09d}'
        return dict(img_path=f'{self.lmdb_path}/{key}', img_key=key, instances=self.instances)

    def _load_dataset(self, dataset: BaseDataset | dict) -> list[dict] | LazyList:
        plain = build_datasets(copy.deepcopy(dataset) if isinstance(dataset, dict) else dataset)
        if any(isinstance(part, RenderedWords) for part in plain):
            raise ValueError(
                'dataset must hold images of the target domain, got RenderedWords, whose images '
                'exist with their text only: it is a source; give the images that the recognizer '
                "shall read as target, such as dict(type='mmocr_da.UnlabelledDataset', img_dir=...)"
            )
        databases = [part for part in map(database_of, plain) if part is not None]
        if databases and len(unique(plain)) > 1:
            raise ValueError(
                f'dataset must be one dataset if it is an LMDB, got {len(plain)}; '
                'give each as a separate UnlabelledDataset, in a list'
            )
        if databases:
            self.lmdb_path, self.color_type = databases[0].ann_file, databases[0].color_type
        data_list: list[dict] = []
        for part in plain:
            part.full_init()
            for key, value in part.metainfo.items():
                self._metainfo.setdefault(key, value)
        if databases and isinstance(databases[0].data_list, LazyList):
            numbers = databases[0].data_list.numbers
            many = numbers if len(plain) == 1 else np.tile(numbers, len(plain))
            return LazyList(self._of_lmdb, many)
        for part in plain:
            labelled = [part.get_data_info(i) for i in range(len(part))]
            if self.instances is None and any(map(_has_boxes, labelled)):
                self.instances = []
            data_list += map(self._without_label, labelled)
        if not data_list:
            raise ValueError(
                f'dataset must hold images, got an empty {type(plain[0]).__name__}; '
                'check its ann_file'
            )
        return data_list

    def _without_label(self, data: dict) -> dict:
        data = {key: data[key] for key in KEPT_KEYS if key in data}
        if 'img_key' in data:
            data['img_path'] = f'{self.lmdb_path}/{data["img_key"]}'
        return data

    def prepare_data(self, idx: int) -> dict | None:
        """Return the item ``idx`` after the pipeline."""
        load_as_shown(self)
        data = self.get_data_info(idx)
        if self.lmdb_path is not None:
            # The pipeline decodes the image, so one pipeline fits both domains, from files or an
            # LMDB.
            with open_lmdb(self.lmdb_path).begin() as transaction:
                data['content'] = transaction.get(data['img_key'].encode())
        return self.pipeline(data)


def _has_boxes(data: dict) -> bool:
    """Whether the annotation of an image is one for detectors."""
    return any(key in i for i in data.get('instances') or () for key in ('polygon', 'bbox'))
