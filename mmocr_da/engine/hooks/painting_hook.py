"""Paints predictions on the images of a test run, from files or LMDBs."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import mmcv
from mmengine.structures import BaseDataElement
from mmocr.engine.hooks import VisualizationHook

from mmocr_da.datasets.image_loading import LoadImageFromFile
from mmocr_da.datasets.lmdb_files import content_in_lmdb
from mmocr_da.plain import base_cfg
from mmocr_da.registry import HOOKS


@HOOKS.register_module()
class PaintingHook(VisualizationHook):
    """MMOCR's hook, but in testing it paints on images as the model sees them, LMDBs included.

    MMOCR's hook needs a file for each image, and shows text in an alpha channel as black.
    """

    plain_cfg: Any = classmethod(base_cfg)

    def after_test_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: Sequence[BaseDataElement] = ()
    ) -> None:
        """Paint the predictions of a batch."""
        if not self.enable:
            return
        loader = LoadImageFromFile(backend_args=self.backend_args)
        for output in outputs:
            path = output.img_path
            content = content_in_lmdb(path)
            data = dict(img_path=path) if content is None else dict(img_path=path, content=content)
            self._visualizer.add_datasample(
                osp.splitext(osp.basename(path))[0],
                mmcv.bgr2rgb(loader(data)['img']),
                data_sample=output,
                draw_gt=self.draw_gt,
                draw_pred=self.draw_pred,
                show=self.show,
                wait_time=self.wait_time,
                pred_score_thr=self.score_thr,
                step=batch_idx,
            )
