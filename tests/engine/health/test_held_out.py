import copy
import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmocr.registry import DATASETS

from mmocr_da.engine.health.held_out import held_out_images, spread


@pytest.fixture
def datasets(toy):
    """``datasets(**changes)``: the config of the toy, and its built training data."""

    def make(**changes):
        cfg = Config.fromfile(toy)
        cfg.train_dataloader.dataset.update(changes)
        return cfg, DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset))

    return make


def texts(items):
    return [item['data_samples'].gt_text.item for item in items]


def domains(items):
    return {item['data_samples'].domain for item in items}


@pytest.mark.parametrize('size, count', [(10, 4), (7, 7), (3, 9), (1000, 200), (0, 5)])
def test_a_selection_is_evenly_spread(size, count):
    found = spread(size, count)
    assert len(found) == len(set(found)) == min(size, count)
    assert all(b - a in (size // count, size // count + 1) for a, b in zip(found, found[1:]))


def test_both_domains_are_there_and_the_target_has_no_label(datasets):
    cfg, training = datasets()
    images = held_out_images(dict(training=training), cfg, 4)
    assert texts(images.source) == ['12', '345', '77', '890'] and texts(images.target) == [''] * 4
    assert domains(images.source) == {'source'} and domains(images.target) == {'target'}
    assert images.origin == 'training'
    assert (
        texts(held_out_images(dict(training=training), cfg, 4, labelled=False).source) == [''] * 4
    )


def test_the_pipeline_is_that_of_the_tests_and_the_training_keeps_its_own(datasets):
    invert = dict(type='mmocr_da.LinearContrast', alpha=(0.0, 0.0))
    cfg = datasets()[0]
    load, label, resize, pack = cfg.train_pipeline
    cfg, training = datasets(pipeline=[load, label, invert, resize, pack])
    before = [repr(part.pipeline) for part in training.datasets]
    images = held_out_images(dict(training=training), cfg, 2)
    assert images.source[0]['inputs'].float().std() > 1
    assert before == [repr(part.pipeline) for part in training.datasets]
    cfg.test_dataloader = cfg.val_dataloader = None
    images = held_out_images(dict(training=training), cfg, 2)
    assert images.source[0]['inputs'].float().std() == 0
    assert 'there is no test_dataloader' in images.origin


def test_a_validation_that_knows_its_domains_comes_first(datasets, toy):
    cfg, training = datasets()
    validation = copy.deepcopy(cfg.train_dataloader.dataset)
    validation.source.indices = 2
    images = held_out_images(dict(validation=DATASETS.build(validation), training=training), cfg, 9)
    assert len(images.source) == 2 and len(images.target) == 6 and images.origin == 'validation'
    plain = DATASETS.build(copy.deepcopy(cfg.val_dataloader.dataset))
    assert held_out_images(dict(validation=plain, training=training), cfg, 9).origin == 'training'


def test_data_without_domains_are_all_source(datasets):
    cfg, _ = datasets()
    one = dict(cfg.source, pipeline=cfg.train_pipeline)
    seeded = dict(type='mmocr_da.SeededDataset', datasets=[one, one], pipeline=None)
    several = dict(type='ConcatDataset', datasets=[one, one])
    for dataset, number in ((one, 6), (several, 12), (seeded, 12)):
        built = DATASETS.build(copy.deepcopy(dataset))
        images = held_out_images(dict(training=built), cfg, 100)
        assert len(images.source) == number and images.target == []
        assert texts(images.source)[-1] == '21'


def test_target_images_may_have_any_label(datasets, toy):
    cfg, training = datasets()
    expected = held_out_images(dict(training=training), cfg, 6).target
    labels = json.loads((toy.parent / 'target.json').read_text())
    for data in labels['data_list']:
        data['instances'] = [dict(text='999999')]
    (toy.parent / 'other.json').write_text(json.dumps(labels))
    other = datasets(target=dict(cfg.target, ann_file='other.json'))[1]
    for a, b in zip(expected, held_out_images(dict(training=other), cfg, 6).target):
        assert torch.equal(a['inputs'], b['inputs'])
        assert str(a['data_samples'].to_dict()) == str(b['data_samples'].to_dict())


def test_broken_images_are_replaced(datasets, toy, tmp_path):
    cfg, _ = datasets()
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((16, 32), 80 * i + 9, np.uint8))
    (tmp_path / '1.png').write_bytes(b'no image')
    target = dict(type='mmocr_da.UnlabelledDataset', img_dir=str(tmp_path), pipeline=None)
    images = held_out_images(dict(training=datasets(target=target)[1]), cfg, 3)
    names = [item['data_samples'].img_path[-5:] for item in images.target]
    assert names[::2] == ['0.png', '2.png'] and names[1] in names[::2]


def test_batches_hold_each_image_once_and_may_be_changed(datasets):
    cfg, training = datasets()
    images = held_out_images(dict(training=training), cfg, 6)
    batches = list(images.batches('source', 4))
    assert [len(batch['inputs']) for batch in batches] == [4, 2]
    for batch in batches:
        for sample in batch['data_samples']:
            sample.gt_text.item = 'changed'
    assert texts(images.source) == ['12', '345', '6', '77', '890', '21']
    both = images.first(2)
    assert [sample.domain for sample in both['data_samples']] == ['source'] * 2 + ['target'] * 2
