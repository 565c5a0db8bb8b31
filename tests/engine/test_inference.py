import copy

import numpy as np
import pytest
from mmengine.config import Config

from mmocr_da.engine import inference
from mmocr_da.engine.inference import inference_pipeline, random_batch

PIPELINE = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='Resize', scale=(32, 16)),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(
        type='PackTextRecogInputs',
        meta_keys=('img_path', 'ori_shape', 'instances', 'sample_idx', 'valid_ratio'),
    ),
]


def with_dataset(dataset):
    return Config(dict(test_dataloader=dict(dataset=dataset)))


@pytest.fixture(params=['alone', 'of all', 'of each', 'wrapped'])
def cfg(request):
    """Where a config may have the pipeline of its test data."""
    data = dict(type='OCRDataset', pipeline=copy.deepcopy(PIPELINE))
    return with_dataset(
        {
            'alone': data,
            'of all': dict(
                type='ConcatDataset',
                datasets=[dict(type='OCRDataset', pipeline=None)],
                pipeline=copy.deepcopy(PIPELINE),
            ),
            'of each': dict(type='ConcatDataset', datasets=[data, data]),
            'wrapped': dict(type='RepeatDataset', times=1, dataset=data),
        }[request.param]
    )


def test_an_image_alone_goes_through_the_test_pipeline(cfg):
    """What only a dataset knows, as in MMOCR's ASTER, is not asked for."""
    before = copy.deepcopy(cfg.to_dict())
    assert inference.test_pipeline(cfg) == PIPELINE
    packed = inference_pipeline(cfg)(np.zeros((20, 30, 3), np.uint8))
    assert packed['inputs'].shape[-2:] == (16, 32)
    assert {'ori_shape', 'valid_ratio'} <= set(packed['data_samples'].metainfo_keys())
    assert not {'instances', 'sample_idx'} & set(packed['data_samples'].metainfo_keys())
    assert len(random_batch(cfg)['inputs']) == 4
    assert cfg.to_dict() == before
