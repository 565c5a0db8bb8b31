"""Decoders of a model get a faster loop with the same predictions, and nothing else changes."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import HOOKS
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizerTTAModel
from torch import nn

from mmocr_da.models.decoders import decode_fast
from mmocr_da.registry import MODELS


@pytest.fixture
def recognizer(recognizer_cfg):
    """A decoder whose texts end, and one whose texts do not."""

    def make(ends=True):
        model = MODELS.build(recognizer_cfg()).eval()
        classifier = model.decoder.fc
        nn.init.zeros_(classifier.weight)
        nn.init.zeros_(classifier.bias)
        classifier.bias.data[model.decoder.dictionary.end_idx if ends else 3] = 9.0
        return model

    return make


def decoded(model, batch):
    data = batch()
    return model(data['inputs'], data['data_samples'], mode='tensor')


def test_a_hook_of_the_config_replaces_the_loop(recognizer, batch):
    model = recognizer()
    wanted = decoded(model, batch)
    keys = list(model.state_dict())
    HOOKS.build(dict(type='mmocr_da.FastDecodingHook')).before_run(SimpleNamespace(model=model))
    found = decoded(model, batch)
    assert wanted.size(1) == 8 and found.size(1) == 1
    torch.testing.assert_close(found, wanted[:, :1])
    assert list(model.state_dict()) == keys
    texts = [
        [sample.pred_text.item for sample in m.predict(**batch())] for m in (model, recognizer())
    ]
    assert texts[0] == texts[1]


def test_a_copy_decodes_with_its_own_weights(recognizer, batch):
    """As the average of EMAHook does, or the teacher of self-training."""
    model = recognizer()
    decode_fast(model)
    twin = copy.deepcopy(model)
    nn.init.constant_(model.decoder.fc.bias, 0.0)
    model.decoder.fc.bias.data[5] = 9.0
    assert decoded(model, batch).size(1) == 8
    assert decoded(twin, batch).size(1) == 1


def test_it_finds_the_decoder_within_another_model(recognizer):
    model = EncoderDecoderRecognizerTTAModel(module=recognizer())
    assert decode_fast(model) == ['ASTERDecoder'] and decode_fast(model) == ['ASTERDecoder']


def test_other_decoders_are_left_alone(recognizer, crnn, recognizer_cfg):
    model = MODELS.build(dict(recognizer_cfg(), encoder=None, decoder=crnn))
    assert decode_fast(model) == []
    assert 'forward_test' not in vars(model.decoder)
    assert decode_fast(nn.Linear(1, 1)) == []


def test_training_is_as_before(recognizer, batch):
    losses = []
    for fast in (False, True):
        model = recognizer(ends=False).train()
        if fast:
            decode_fast(model)
        data = batch(targets=0)
        losses.append(model.loss(data['inputs'], data['data_samples'])['loss_ce'])
    assert torch.equal(*losses)
