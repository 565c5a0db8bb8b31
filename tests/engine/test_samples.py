"""Images of both domains from a config. (Those of one test set: tests of prediction_sheet.)"""

import os

import pytest
from mmengine.config import Config

from mmocr_da.domains import DOMAINS
from mmocr_da.engine.samples import dataset_of, domain_items, draw_items, text_of


def names(items):
    return {
        domain: [os.path.basename(item['img_path']) for item in part]
        for domain, part in items.items()
    }


@pytest.fixture
def cfg(toy):
    return Config.fromfile(str(toy))


@pytest.mark.parametrize('split', ['train', 'test', None])
def test_both_domains_are_drawn_by_a_seed(cfg, split):
    found = domain_items(cfg, 4, seed=1, split=split)
    assert list(found) == list(DOMAINS)
    for domain, drawn in names(found).items():
        assert len({*drawn}) == 4 and all(name.startswith(domain) for name in drawn)
    assert names(found) == names(domain_items(cfg, 4, seed=1, split=split))
    assert names(found) != names(domain_items(cfg, 4, seed=2, split=split))
    assert {d: len(part) for d, part in domain_items(cfg, 99, split=split).items()} == {
        'source': 6,
        'target': 6,
    }


def test_several_datasets_of_a_domain_are_drawn_from_together(cfg):
    dataset = cfg.train_dataloader.dataset
    dataset.target = [dataset.source, dict(type='RepeatDataset', times=2, dataset=dataset.target)]
    drawn = names(domain_items(cfg, 99, split='train'))
    assert len(drawn['source']) == 6 and len(drawn['target']) == 18
    assert len({*drawn['target']}) == 12


def test_training_data_are_for_other_numbers_of_test_sets(cfg):
    cfg.test_dataloader.dataset.datasets = [cfg.target] * 3
    assert names(domain_items(cfg, 2))['source'][0].startswith('source')
    found = names(domain_items(cfg, 2, split='test'))
    assert found['source'][0].startswith('target')


def test_what_is_not_there_is_an_error(cfg):
    with pytest.raises(ValueError, match='--num|num must be an integer of at least 1, got 0'):
        domain_items(cfg, 0)
    cfg.test_dataloader.dataset = dict(cfg.target, pipeline=cfg.test_pipeline)
    with pytest.raises(ValueError, match='must have a dataset of the source and, as the last one'):
        domain_items(cfg, 2, split='test')
    cfg.train_dataloader.dataset.source = None
    with pytest.raises(ValueError, match='must have a source, got source=None'):
        domain_items(cfg, 2)
    cfg.train_dataloader.dataset = cfg.source
    with pytest.raises(ValueError, match='images of both domains: .* got a OCRDataset'):
        domain_items(cfg, 2)


def test_texts_are_the_labels(cfg):
    items = draw_items([dataset_of(cfg.test_dataloader, 0)], 6)
    assert [text_of(item) for item in items] == ['12', '345', '6', '77', '890', '21']
    unlabelled = dict(type='mmocr_da.UnlabelledDataset', dataset=cfg.source)
    assert [text_of(item) for item in draw_items([unlabelled], 2)] == ['', '']
    assert text_of(dict(img_path='a.png')) == ''
