"""Modules that can be traced compute what MMOCR's and torch's own do."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers.families import narrow
from mmocr.structures import TextRecogDataSample
from torch import nn

from mmocr_da.models.valid_ratio import RatioSamples
from mmocr_da.onnx_export.forms import encode, pooling_matrix, traceable
from mmocr_da.registry import MODELS

RATIOS = (1.0, 0.5, 0.33)


@pytest.mark.parametrize('family', ['SAR, parallel', 'NRTR', 'SATRN', 'SVTR', 'ABINet, vision'])
def test_an_encoder_without_a_loop_is_that_of_mmocr(family):
    cfg = narrow(family)
    model = MODELS.build(copy.deepcopy(cfg.model)).eval()
    samples = [TextRecogDataSample(metainfo=dict(valid_ratio=ratio)) for ratio in RATIOS]
    size = (64, 256) if family == 'SVTR' else (32, 128)
    with torch.no_grad():
        feature_map = model.extract_feat(torch.randn(len(RATIOS), 3, *size))
        wanted = model.encoder(feature_map, samples)
        found = encode(model.encoder, feature_map, RatioSamples(torch.tensor(RATIOS).double()))
    torch.testing.assert_close(found, wanted)


def test_an_encoder_without_a_mask_does_not_look_at_the_padding():
    cfg = narrow('SAR, parallel').model.encoder
    encoder = MODELS.build(dict(cfg, mask=False)).eval()
    feature_map = torch.randn(2, cfg.d_model, 3, 8)
    found = encode(encoder, feature_map, RatioSamples(torch.tensor([1.0, 0.2]).double()))
    torch.testing.assert_close(found, encoder(feature_map, None))


@pytest.mark.parametrize('size, steps', [(25, 25), (50, 25), (7, 3), (3, 5)])
def test_pooling_by_a_matrix_is_that_of_torch(size, steps):
    x = torch.randn(2, 3, size)
    torch.testing.assert_close(x @ pooling_matrix(size, steps), F.adaptive_avg_pool1d(x, steps))


@pytest.mark.parametrize('kind', [nn.LSTMCell, nn.GRUCell])
def test_a_layer_of_one_step_is_the_cell(kind):
    cell, x = kind(3, 4), torch.randn(2, 3)
    first = cell(x)
    second = cell(x, first)
    with traceable(nn.Sequential(cell)):
        assert 'forward' in vars(cell)
        torch.testing.assert_close(cell(x), first)
        torch.testing.assert_close(cell(x, first), second)
    assert 'forward' not in vars(cell)


def test_lengths_of_texts_are_those_of_the_language_model():
    decoder = MODELS.build(narrow('ABINet, fusion').model).decoder.language_decoder
    classes = torch.randint(0, 3, (32, 5))
    classes[0], classes[1, 0] = 1, 2
    logits = F.one_hot(torch.where(classes == 2, decoder.dictionary.end_idx, classes), 90).float()
    wanted = decoder._get_length(logits)
    with traceable(decoder):
        found = decoder._get_length(logits)
    assert found.tolist() == wanted.tolist() and set(found.tolist()) == {1, 2, 3, 4, 5}
    assert '_get_length' not in vars(decoder)
