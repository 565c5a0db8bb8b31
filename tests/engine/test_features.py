"""Features of images and of their characters: those of the model, without padding."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmocr_da.engine.features import read_features
from mmocr_da.engine.inference import item_pipeline, predict
from mmocr_da.engine.samples import dataset_of, draw_items
from mmocr_da.export import load_plain


@pytest.fixture(scope='module')
def read(toy, trained):
    """Reads features of the toy's source with its trained recognizer."""
    cfg = Config.fromfile(str(toy))
    model = load_plain(cfg, str(trained / 'iter_2.pth'))
    assert type(model).__name__ == 'EncoderDecoderRecognizer' and not model.training
    items = draw_items([dataset_of(cfg.test_dataloader, 0)], 6)

    def make(order=range(6), **options):
        chosen = [items[i] for i in order]
        return read_features(model, item_pipeline(cfg, items), chosen, **options)

    make.model, make.items, make.cfg = model, items, cfg
    return make


def test_characters_are_those_of_the_labels(read):
    found = read(labelled=True)
    assert ''.join(found.classes) == '1234567789021' and len(found.characters) == 13
    assert found.owners.tolist() == [0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 5]
    assert found.images.shape == (6, 16) and found.characters.shape == (13, 16)


def test_characters_are_those_of_the_prediction(read):
    found = read()
    predicted = predict(read.model, item_pipeline(read.cfg, read.items), read.items)
    texts = [sample.pred_text.item for sample in predicted]
    assert any(texts) and ''.join(found.classes) == ''.join(texts)
    assert found.owners.tolist() == [i for i, text in enumerate(texts) for _ in text]


@pytest.mark.parametrize('labelled', [True, False])
def test_neither_order_nor_batches_matter(read, labelled):
    found = read(labelled=labelled)
    moved = read(order=[3, 1, 5], labelled=labelled, batch_size=2)
    np.testing.assert_allclose(moved.images, found.images[[3, 1, 5]], atol=1e-5)
    for new, old in enumerate([3, 1, 5]):
        np.testing.assert_allclose(
            moved.characters[moved.owners == new], found.characters[found.owners == old], atol=1e-5
        )


def test_the_feature_of_an_image_is_the_mean_of_its_map(read):
    model = read.model
    data = model.data_preprocessor(
        dict(
            inputs=[item_pipeline(read.cfg, read.items)(copy.deepcopy(read.items[0]))['inputs']],
            data_samples=[],
        ),
        False,
    )
    with torch.no_grad():
        feature_map = model.backbone(data['inputs'])
        sequence = model.encoder(feature_map)
    np.testing.assert_allclose(read([0]).images[0], feature_map[0].mean((1, 2)), atol=1e-5)
    encoded = read([0], level='encoder').images[0]
    np.testing.assert_allclose(encoded, sequence[0].mean(0), atol=1e-5)


def test_padding_is_left_out(read, monkeypatch):
    """Columns of the map beyond the valid ones may be anything."""
    model, pipeline = read.model, item_pipeline(read.cfg, read.items)

    def padded(item):
        packed = pipeline(item)
        packed['data_samples'].set_metainfo(dict(valid_ratio=0.5))
        return packed

    def images(noise):
        def extract(inputs):
            feature_map = model.backbone(inputs)
            feature_map[..., feature_map.size(-1) // 2 :] = noise
            return feature_map

        monkeypatch.setattr(model, 'extract_feat', extract)
        return read_features(model, padded, read.items).images

    assert images(0.0).any()
    np.testing.assert_array_equal(images(0.0), images(100.0))


def test_a_level_that_is_not_there_is_an_error(read, monkeypatch):
    monkeypatch.delitem(read.model._modules, 'encoder')
    with pytest.raises(ValueError, match="level='encoder' needs a recognizer with an encoder"):
        read([0], level='encoder')
