"""MMOCR's dataset of an LMDB, with labels that are read together with their images."""

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmocr.datasets import RecogLMDBDataset

from mmocr_da.registry import DATASETS

from .lazy_list import LazyList
from .lmdb_files import count_samples, labels_needed

#: Labels that are looked for at the start, to tell an LMDB that has none.
PROBES = 10


@DATASETS.register_module()
class LazyRecogLMDBDataset(RecogLMDBDataset):
    """MMOCR's ``RecogLMDBDataset`` for LMDBs of any size: the same items, and labels by index.

    MMOCR's dataset reads all labels at the start and keeps them. This one reads a label when its
    image is loaded, so that the time and the memory at the start do not grow with the LMDB. Parts
    of this package that take configs of datasets (:class:`TwoDomainDataset`,
    :class:`SeededDataset`, :class:`UnlabelledDataset`, :class:`LabelFraction`) build it in place of
    MMOCR's.

    An image without a label is treated as MMOCR treats a label without an image: another one
    replaces it in training. A :class:`SeededDataset` counts and names them.

    The arguments are those of MMOCR's dataset; ``serialize_data`` has no effect. A subclass may
    override ``parse_data_info``, as with MMOCR's.

    Raises:
        ValueError: If there is no whole LMDB at ``ann_file``, if it lacks ``num-samples``, or if it
            has no labels.
    """

    def load_data_list(self) -> LazyList:
        """Return the annotations as a list that reads each when it is asked for."""
        self._make_env()
        self.total_number = count_samples(self.ann_file, keys=('image', 'label'))
        items = LazyList(self._annotation, range(1, self.total_number + 1))
        probes = np.linspace(0, self.total_number - 1, min(PROBES, self.total_number))
        if not any(items[int(i)]['instances'] for i in probes):
            raise ValueError(labels_needed(self.ann_file))
        self.serialize_data = False
        return items

    def _annotation(self, number: int) -> dict[str, Any]:
        """Read the annotation of an image; without ``instances`` if it has no label in UTF-8."""
        key = f'image-{number:09d}'
        with self.env.begin() as transaction:
            label = transaction.get(b'label-%09d' % number)
        try:
            text = None if label is None else label.decode()
        except UnicodeDecodeError:
            text = None
        if text is None:
            return dict(img_key=key, instances=[])
        data: dict[str, Any] = self.parse_data_info((key, text))
        return data

    def _get_unserialized_subset(self, indices: int | Sequence[int]) -> Any:
        if isinstance(self.data_list, LazyList) and not isinstance(indices, int):
            return self.data_list[indices]
        return super()._get_unserialized_subset(indices)

    def prepare_data(self, idx: int) -> Any:
        """Return the item ``idx`` after the pipeline; None if it has no image or no label.

        Raises:
            ValueError: If it has none and the dataset is in test mode.
        """
        data = self.get_data_info(idx)
        lacking = self._load(data)
        if lacking is None:
            return self.pipeline(data)
        if not self.test_mode:
            return None
        raise ValueError(
            'an LMDB must hold an image and a label for each number up to num-samples, got '
            f'{self.ann_file!r} with {data["img_key"]} without {lacking}'
        )

    def _load(self, data: dict[str, Any]) -> str | None:
        """Add the image to an annotation; return what is missing, if anything is."""
        if not data['instances']:
            return 'a label in UTF-8'
        with self.env.begin() as transaction:
            content = transaction.get(data['img_key'].encode())
        return 'its image' if content is None else self._add_image(data, content)

    def _add_image(self, data: dict[str, Any], content: bytes) -> str | None:
        data['img'] = mmcv.imfrombytes(content, flag=self.color_type)
        return None if data['img'] is not None else 'an image that can be decoded'


class LMDBImages(LazyRecogLMDBDataset):
    """The same with encoded images, which the pipeline decodes."""

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the annotation of an item, with an ``img_path`` unique among all databases."""
        data: dict[str, Any] = super().get_data_info(idx)
        data['img_path'] = f'{self.ann_file}/{data["img_key"]}'
        return data

    def _add_image(self, data: dict[str, Any], content: bytes) -> str | None:
        data['content'] = content
        return None
