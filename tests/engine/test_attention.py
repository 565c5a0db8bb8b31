"""Where a recognizer looks: its prediction, on the picture that it sees."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmocr_da.engine.attention import read_attention
from mmocr_da.engine.inference import item_pipeline, predict
from mmocr_da.engine.samples import dataset_of, draw_items
from mmocr_da.export import load_plain


@pytest.fixture(scope='module')
def setting(toy, trained):
    cfg = Config.fromfile(str(toy))
    items = draw_items([dataset_of(cfg.test_dataloader, 0)], 6)
    return load_plain(cfg, str(trained / 'iter_2.pth')), item_pipeline(cfg, items), items


def test_texts_are_those_of_testing(setting):
    found = read_attention(*setting, batch_size=4)
    texts = [sample.pred_text.item for sample in predict(*setting)]
    assert [part.text for part in found] == texts and any(texts)
    for part in found:
        assert part.maps.shape[0] == len(part.characters) and part.maps.shape[1] == 1
        np.testing.assert_allclose(part.maps.sum((1, 2)), 1, atol=1e-5)
        assert part.picture.shape == (16, 32)
        assert (part.picture.min(), part.picture.max()) == (0, 1)


def test_padding_is_cut_off(setting):
    model, pipeline, items = setting

    def padded(item):
        packed = pipeline(item)
        packed['data_samples'].set_metainfo(dict(valid_ratio=0.5))
        return packed

    whole, half = (read_attention(model, p, items) for p in (pipeline, padded))
    for a, b in zip(whole, half):
        assert b.picture.shape == (16, 16) and b.maps.shape[-1] == a.maps.shape[-1] // 2
        if a.characters:
            np.testing.assert_allclose(b.maps, a.maps[..., : b.maps.shape[-1]], atol=1e-5)


def test_the_picture_is_what_the_backbone_sees(setting, monkeypatch):
    """A recognizer with a rectifier, here one that turns images upside down."""

    class Rectifier(torch.nn.Module):
        def forward(self, images):
            return images.flip(2)

    model, pipeline, items = setting
    plain = read_attention(model, pipeline, items)
    monkeypatch.setitem(model._modules, 'preprocessor', Rectifier())
    for a, b in zip(plain, read_attention(model, pipeline, items)):
        np.testing.assert_allclose(b.picture, a.picture[::-1], atol=1e-6)
