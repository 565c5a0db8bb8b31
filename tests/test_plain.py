"""What classes are in plain MMOCR, and the walker that asks them."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import nn

from mmocr_da import export
from mmocr_da.models.layers import BatchInstanceNorm2d, DomainBatchNorm2d
from mmocr_da.models.recognizers import AdaptiveRecognizer
from mmocr_da.plain import base_cfg
from mmocr_da.registry import MODELS


class Mine(AdaptiveRecognizer):
    """A recognizer of a user, outside of this package."""


def test_the_base_class_of_another_package_knows_a_part_of_the_keys():
    cfg = dict(type='mine.Mine', backbone=dict(n=[1]), objectives=[], supervised_weight=0)
    plain = base_cfg(Mine, cfg)
    assert plain == dict(type='EncoderDecoderRecognizer', backbone=dict(n=[1]))
    assert base_cfg(EncoderDecoderRecognizer, plain) == plain
    plain['backbone']['n'].append(2)
    assert cfg['backbone'] == dict(n=[1])


def test_a_class_that_extends_no_model_is_refused():
    with pytest.raises(ValueError, match="must extend a model of MMOCR, got 'mmocr_da.BIN'"):
        base_cfg(BatchInstanceNorm2d, dict(type='mmocr_da.BIN'))


def test_a_model_of_a_user_that_extends_ours_becomes_plain(recognizer_cfg):
    MODELS.register_module(module=Mine, force=True)
    try:
        cfg = ConfigDict(recognizer_cfg(), type='mmocr_da.Mine', objectives=[])
        assert export.plain_model(cfg).type == 'EncoderDecoderRecognizer'
    finally:
        MODELS.module_dict.pop('Mine')


@pytest.mark.parametrize(
    'cfg, plain',
    [
        (dict(type='mmocr_da.PaintingHook', enable=False), dict(type='VisualizationHook')),
        (dict(type='mmocr_da.BIN3d', eps=1), dict(type='BN3d', eps=1)),
        (dict(type='mmocr_da.WithBIN', of='CRNN', include='a', b=1), dict(type='CRNN', b=1)),
        (dict(type='mmocr_da.GWDLoss', loss_weight=2), dict(type='SmoothL1Loss')),
        (dict(type='mmocr_da.KFIoULoss'), dict(type='SmoothL1Loss')),
        (dict(type='mmocr_da.DumpPredictions', out_file_path='a.pkl'), None),
        (
            dict(type='mmocr_da.WithBIN', of='mmocr_da.MultiViewTextRecogDataPreprocessor'),
            dict(type='TextRecogDataPreprocessor'),
        ),
        # Classes without an answer stay.
        (dict(type='mmocr_da.AttentionDecoder'), dict(type='mmocr_da.AttentionDecoder')),
        (dict(type='mmocr_da.NoSuchClass'), dict(type='mmocr_da.NoSuchClass')),
        (dict(type='CRNN', _scope_='mmocr_da'), dict(type='CRNN')),
    ],
)
def test_each_class_answers_wherever_it_is(cfg, plain):
    found = export.rewrite(dict(a=[dict(b=cfg)], c=(cfg,)), export._plain_node)
    if plain is None:
        assert found == dict(a=[{}], c=())
        return
    for node in (found['a'][0]['b'], found['c'][0]):
        assert {key: node[key] for key in plain} == plain and 'include' not in node
    assert '_scope_' in cfg or found['a'][0]['b'] is not cfg


def test_metrics_replace_ours_once_after_those_that_are_there():
    word = dict(type='WordMetric', mode='exact')
    ours = dict(type='mmocr_da.TextErrorMetric')
    wanted = [word, word, dict(type='CharMetric'), dict(type='OneMinusNEDMetric')]
    assert export._plain_evaluator([ours, word, ours, word]) == wanted
    assert [m['type'] for m in export._plain_evaluator(ours)] == [
        'WordMetric',
        'CharMetric',
        'OneMinusNEDMetric',
    ]
    assert export._plain_evaluator(word) == [word] and export._plain_evaluator(None) is None


def test_rewriting_keeps_what_no_one_drops():
    tree = dict(none=None, empty={}, pair=(1, [dict(n=0)]), text='x')
    assert export.rewrite(tree, lambda node: node) == tree
    assert export.rewrite([dict(n=2), None, [1]], lambda node: [node, node]) == [
        dict(n=2),
        dict(n=2),
        None,
        [1],
    ]


def test_norm_layers_keep_what_a_batch_norm_has():
    layer = BatchInstanceNorm2d(3)
    layer.keep_statistics_per_domain()
    batch_norm = nn.BatchNorm2d(3)
    for norm in (layer, DomainBatchNorm2d(3), DomainBatchNorm2d(3, affine=False)):
        plain = norm.plain_state_dict(norm.state_dict())
        assert plain.keys() <= batch_norm.state_dict().keys()
        assert plain.keys() >= {'running_mean', 'running_var', 'num_batches_tracked'}
    nn.init.zeros_(layer.rho)
    before = layer.state_dict()
    with pytest.raises(ValueError, match='only if all their gates are 1'):
        layer.plain_state_dict(before)
    assert before.keys() == layer.state_dict().keys()


def test_all_layers_that_cannot_be_plain_are_named():
    model = nn.Sequential(nn.Sequential(BatchInstanceNorm2d(1), nn.BatchNorm2d(1)))
    model.append(BatchInstanceNorm2d(1))
    weights = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r'no plain weights of 0\.0, 1: batch-instance norms'):
        export._ask_modules(model, weights, {'0', '1'})
    assert export._ask_modules(model, weights, set()).keys() == weights.keys()


def test_a_layer_that_is_used_twice_is_plain_at_both_places():
    layer = BatchInstanceNorm2d(1)
    model = nn.Sequential(layer, nn.Sequential(layer))
    plain = export._ask_modules(model, model.state_dict(), {'0', '1'})
    norm = nn.BatchNorm2d(1)
    assert plain.keys() == nn.Sequential(norm, nn.Sequential(norm)).state_dict().keys()
