import copy

import numpy as np
import pytest
import torch
from helpers.recognizers import make_recognizer
from mmengine.config import Config
from mmocr.structures import TextRecogDataSample

from mmocr_da.engine import inference
from mmocr_da.engine.inference import inference_pipeline, predict, predict_images, random_batch

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


class Recorder:
    """Predicts the number of an image, and keeps the sizes of its batches."""

    def __init__(self):
        self.batches = []

    def test_step(self, batch):
        self.batches.append([tuple(image.shape) for image in batch['inputs']])
        return batch['data_samples']


def packed(item):
    sample = TextRecogDataSample(metainfo=dict(number=item['number']))
    return dict(inputs=torch.zeros(1, 4, item['width']), data_samples=sample)


def test_only_images_of_one_size_share_a_batch_and_the_order_stays():
    widths = [4, 8, 4, 4, 8, 4, 4, 9]
    items = [dict(number=i, width=width) for i, width in enumerate(widths)]
    model = Recorder()
    samples = predict(model, packed, items, batch_size=2)
    assert [sample.number for sample in samples] == list(range(8))
    assert all(len(set(batch)) == 1 and len(batch) <= 2 for batch in model.batches)
    assert sorted(map(len, model.batches)) == [1, 1, 2, 2, 2]
    assert predict(model, packed, []) == []


def test_a_checkpoint_predicts_several_images_as_it_does_each_alone(tmp_path):
    root = make_recognizer(tmp_path)
    cfg = Config.fromfile(root / 'tiny.py')
    files = sorted((root / 'source').iterdir())
    items = [dict(img_path=str(file), instances=[dict(text='')]) for file in files]
    together = predict_images(cfg, str(root / 'tiny.pth'), items, batch_size=5)
    alone = [predict_images(cfg, str(root / 'tiny.pth'), [item])[0] for item in items]
    assert [s.pred_text.item for s in together] == [s.pred_text.item for s in alone]
    for first, second in zip(together, alone):
        np.testing.assert_allclose(first.pred_text.score, second.pred_text.score, atol=1e-5)
    assert [s.img_path for s in together] == list(map(str, files))


def test_what_fits_before_a_training_predicts_after_it(tmp_path):
    """A checkpoint may have parts of a training and lack a constant, not statistics."""
    root = make_recognizer(tmp_path)
    cfg = Config.fromfile(root / 'tiny.py')
    path = str(root / 'tiny.pth')
    image = dict(img_path=str(root / 'source/0.png'), instances=[dict(text='')])
    wanted = predict_images(cfg, path, [image])[0].pred_text.item
    weights = torch.load(path)['state_dict']
    weights['objectives.0.weight'] = torch.ones(1)
    counter = 'backbone.stem_layers.0.bn.num_batches_tracked'
    del weights[counter]
    torch.save(dict(state_dict=weights), path)
    assert predict_images(cfg, path, [image], surplus=True)[0].pred_text.item == wanted
    with pytest.raises(RuntimeError, match='objectives.0.weight'):
        predict_images(cfg, path, [image])
    del weights[counter.replace('num_batches_tracked', 'running_var')]
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(ValueError, match='must have the running statistics of the norm layers'):
        predict_images(cfg, path, [image], surplus=True)
