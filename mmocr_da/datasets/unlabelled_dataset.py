"""Images of one domain, without their text."""
import copy
import os
import os.path as osp
from typing import List, Optional, Sequence, Union

import mmcv
import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS as ALL_DATASETS
from mmocr.datasets import RecogLMDBDataset
from mmocr.datasets.transforms import LoadImageFromFile, LoadImageFromNDArray

from mmocr_da.registry import DATASETS

#: What OpenCV reads; other files in a folder of images are left alone.
IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
#: What may pass from a labelled dataset. Named one by one: a key that is not known to be no
#: label does not pass.
KEPT_KEYS = ('img_path', 'img_key', 'height', 'width')


@DATASETS.register_module()
class UnlabelledDataset(BaseDataset):
    """Images without text, from exactly one of a folder, a list, an LMDB or a labelled dataset.

    Labels are dropped here, before a pipeline or a model could see them. Each image carries the
    annotation ``dict(text='')``, so MMOCR's ordinary training pipelines run unchanged.

    Args:
        img_dir: Folder of images, searched recursively, in sorted order.
        img_list: Text file with the path of one image per line.
        img_prefix: Folder that the paths of ``img_list`` start from.
        lmdb: LMDB with the keys ``num-samples`` and ``image-%09d`` (from 1). Its labels, if any,
            are not read.
        dataset: Config of any labelled MMOCR dataset, or one that is built. Its pipeline is not
            run.
        instances: The annotations of every image; ``()`` suits the pipelines of detectors.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`: ``pipeline``, ``indices``, ...
    """

    def __init__(self,
                 img_dir: Optional[str] = None,
                 img_list: Optional[str] = None,
                 img_prefix: str = '',
                 lmdb: Optional[str] = None,
                 dataset: Union[BaseDataset, dict, None] = None,
                 instances: Sequence[dict] = (dict(text=''), ),
                 pipeline: Optional[Sequence] = None,
                 **kwargs) -> None:
        given = dict(img_dir=img_dir, img_list=img_list, lmdb=lmdb, dataset=dataset)
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError('UnlabelledDataset needs exactly one of img_dir, img_list, lmdb and '
                             f'dataset, got {", ".join(given) or "none of them"}')
        (self._kind, self._origin), = given.items()
        self.img_prefix = img_prefix
        self.instances = [dict(instance) for instance in instances]
        self.lmdb_path = lmdb
        self.color_type = 'color'
        super().__init__(pipeline=pipeline, **kwargs)

    def load_data_list(self) -> List[dict]:
        """``[dict(img_path=..., instances=[dict(text='')]), ...]``, in a fixed order."""
        data_list = getattr(self, f'_load_{self._kind}')(self._origin)
        # A labelled dataset holds its labels as long as it lives.
        self._origin = None
        return [dict(data, instances=copy.deepcopy(self.instances)) for data in data_list]

    def _load_img_dir(self, folder: str) -> List[dict]:
        if not osp.isdir(folder):
            raise ValueError(f'img_dir must be an existing folder, got {folder!r}; check the path, '
                             'relative ones start at the current directory')
        paths = []
        for root, _, names in os.walk(folder, followlinks=True):
            paths += [osp.join(root, n) for n in names if n.lower().endswith(IMAGE_SUFFIXES)]
        if not paths:
            raise ValueError(f'img_dir must hold images ({", ".join(IMAGE_SUFFIXES)}), got '
                             f'{folder!r} with none in it or below; is it the right folder?')
        return [dict(img_path=path) for path in sorted(paths)]

    def _load_img_list(self, path: str) -> List[dict]:
        if not osp.isfile(path):
            raise ValueError(f'img_list must be an existing text file, got {path!r}; check the '
                             'path, relative ones start at the current directory')
        with open(path, encoding='utf-8') as file:
            names = [line.strip() for line in file if line.strip()]
        if not names:
            raise ValueError(f'img_list must name one image per line, got the empty file {path!r}')
        paths = [osp.join(self.img_prefix, name) for name in names]
        # A wrong prefix, or labels behind the paths, would otherwise show as broken images only.
        some = paths[::max(1, len(paths) // 10)]
        if '://' not in paths[0] and not any(map(osp.isfile, some)):
            raise ValueError(f'img_list must name one image per line and nothing else, got '
                             f'{path!r}, none of whose images exists ({paths[0]!r}); set '
                             'img_prefix to the folder that the paths start from')
        return [dict(img_path=path) for path in paths]

    def _load_lmdb(self, path: str) -> List[dict]:
        if not osp.exists(path):
            raise ValueError(f'lmdb must be an existing LMDB, got {path!r}; check the path')
        import lmdb
        try:
            with self._begin() as transaction:
                count = int(transaction.get(b'num-samples', b'0'))
        except lmdb.Error as error:
            raise ValueError(f'lmdb must be the folder of an LMDB, got {path!r}, which is none: '
                             f'{error}') from error
        if not count:
            raise ValueError(f"lmdb must hold images under 'image-000000001' and so on and their "
                             f"number under 'num-samples', got {path!r} without the number; make "
                             "it with MMOCR's tools/dataset_converters/textrecog/lmdb_converter.py")
        keys = [f'image-{i:09d}' for i in range(1, count + 1)]
        return [dict(img_path=f'{path}/{key}', img_key=key) for key in keys]

    def _load_dataset(self, dataset: Union[BaseDataset, dict]) -> List[dict]:
        if isinstance(dataset, dict):
            dataset = ALL_DATASETS.build(copy.deepcopy(dataset))
        dataset.full_init()
        if len(dataset) == 0:
            raise ValueError(f'dataset must hold images, got an empty {type(dataset).__name__}; '
                             'check its ann_file')
        for key, value in dataset.metainfo.items():
            self._metainfo.setdefault(key, value)
        if isinstance(dataset, RecogLMDBDataset):
            self.lmdb_path, self.color_type = dataset.ann_file, dataset.color_type
            dataset.close()
        data_list = []
        for i in range(len(dataset)):
            data = dataset.get_data_info(i)
            data = {key: data[key] for key in KEPT_KEYS if key in data}
            if 'img_key' in data:
                data['img_path'] = f'{self.lmdb_path}/{data["img_key"]}'
            data_list.append(data)
        return data_list

    def prepare_data(self, idx: int) -> Optional[dict]:
        """The item ``idx`` after the pipeline."""
        if self.lmdb_path is None:
            return super().prepare_data(idx)
        data = self.get_data_info(idx)
        with self._begin() as transaction:
            content = transaction.get(data['img_key'].encode())
        pipeline, color_type = self.pipeline, self.color_type
        loader = pipeline.transforms[0] if pipeline.transforms else None
        if isinstance(loader, LoadImageFromFile) and not isinstance(loader, LoadImageFromNDArray):
            # One pipeline fits both domains, whether their images are files or in an LMDB.
            pipeline, color_type = Compose(pipeline.transforms[1:]), loader.color_type
        image = mmcv.imfrombytes(content, flag=color_type) if content else None
        if image is None:
            raise OSError(f'{data["img_path"]} is broken')
        if pipeline is not self.pipeline and loader.to_float32:
            image = image.astype(np.float32)
        data.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return pipeline(data)

    def _begin(self):
        return _open_lmdb(osp.realpath(self.lmdb_path)).begin()


def _open_lmdb(path: str):
    # LMDB forbids to open a path twice in a process, and to use it behind a fork: hence one
    # environment per path and process, kept here and not in a dataset, which may be pickled.
    process, environment = _environments.get(path, (None, None))
    if process != os.getpid():
        import lmdb
        if environment is not None:
            environment.close()  # the parent's, inherited by fork
        environment = lmdb.open(path, subdir=osp.isdir(path), readonly=True, lock=False,
                                readahead=False, meminit=False, max_readers=1)
        _environments[path] = (os.getpid(), environment)
    return environment


_environments = {}
