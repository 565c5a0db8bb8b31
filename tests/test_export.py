import copy
import os
import shutil
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer

from mmocr_da import export
from mmocr_da.engine.inference import random_batch
from mmocr_da.models.layers import BatchInstanceNorm2d
from mmocr_da.registry import MODELS


@pytest.fixture(scope='module')
def exported(toy, trained, run_tool, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('exported')
    run_tool('export', toy, trained / 'iter_2.pth', out_dir)
    return out_dir


@pytest.fixture
def adapted(toy, trained):
    """Config and weights of the adapted toy."""
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=False)
    return Config.fromfile(str(toy)), checkpoint['state_dict']


def build(cfg, state_dict):
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.load_state_dict(state_dict, strict=True)
    return model


def test_the_export_is_stock_mmocr_and_predicts_the_same(exported, adapted):
    plain = Config.fromfile(str(exported / 'toy.py'))
    checkpoint = torch.load(exported / 'toy.pth')
    assert checkpoint.keys() == {'meta', 'state_dict'}
    model = build(plain, checkpoint['state_dict'])
    assert type(model) is EncoderDecoderRecognizer
    for seed in range(3):
        batch = random_batch(plain, seed)
        assert export.same_predictions(build(*adapted), model, batch)


def test_the_weights_are_the_adapted_ones_and_no_others(exported, adapted):
    weights = torch.load(exported / 'toy.pth')['state_dict']
    base = {k: v for k, v in adapted[1].items() if not k.startswith('objectives.')}
    assert len(base) < len(adapted[1])
    assert weights.keys() == base.keys()
    assert all(torch.equal(weights[key], base[key]) for key in base)


def test_the_config_is_for_testing_only_and_without_mmocr_da(exported):
    plain = Config.fromfile(str(exported / 'toy.py'))
    assert 'mmocr_da' not in (exported / 'toy.py').read_text()
    assert plain.model.type == 'EncoderDecoderRecognizer'
    assert not {'objectives', 'supervised_weight', 'character_feature'} & plain.model.keys()
    assert not {'train_dataloader', 'train_cfg', 'optim_wrapper', 'load_from'} & plain.keys()
    assert {'test_dataloader', 'test_evaluator', 'test_cfg', 'test_pipeline'} <= plain.keys()
    assert plain.test_evaluator.dataset_prefixes == ['source', 'target']
    assert [m.type for m in plain.test_evaluator.metrics] == [
        'WordMetric',
        'CharMetric',
        'OneMinusNEDMetric',
    ]


def test_the_folder_can_be_moved_and_mmocr_alone_reads_it(exported, toy, tmp_path):
    shutil.copytree(exported, tmp_path / 'moved')
    # Another process, in which only the hosts' adaptation may come from us.
    code = f"""
import sys
from mmocr_da import compat
compat.apply()
for name in [name for name in sys.modules if name.split('.')[0] == 'mmocr_da']:
    del sys.modules[name]
sys.modules['mmocr_da'] = None  # importing it is an error from here on
from mmocr.apis import TextRecInferencer
reader = TextRecInferencer('toy.py', 'toy.pth', device='cpu')
result = reader({str(toy.parent / 'target_0.png')!r}, progress_bar=False)
assert isinstance(result['predictions'][0]['text'], str)
"""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path / 'moved',
        text=True,
        capture_output=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_exporting_the_export_changes_nothing(exported):
    cfg = Config.fromfile(str(exported / 'toy.py'))
    weights = torch.load(exported / 'toy.pth')['state_dict']
    plain, plain_weights = export.make_plain(cfg, weights)
    assert plain.to_dict() == cfg.to_dict()
    assert all(torch.equal(weights[key], plain_weights[key]) for key in weights)
    assert weights.keys() == plain_weights.keys()


def test_a_pipeline_of_all_test_datasets_is_where_mmocr_looks_for_it(adapted):
    cfg, weights = adapted
    data = cfg.test_dataloader.dataset
    pipeline = data.pop('pipeline')
    for part in data.datasets:
        part.pipeline = copy.deepcopy(pipeline)
    plain = export.make_plain(cfg, weights)[0].test_dataloader.dataset
    assert plain.pipeline == pipeline and [part.pipeline for part in plain.datasets] == [None] * 2
    assert data.datasets[0].pipeline == pipeline and 'pipeline' not in data
    data.datasets[1].pipeline[2].scale = (64, 16)
    plain = export.make_plain(cfg, weights)[0].test_dataloader.dataset
    assert 'pipeline' not in plain and plain.datasets[1].pipeline[2].scale == (64, 16)


def test_inputs_are_not_changed(adapted):
    cfg, weights = adapted
    text, keys = cfg.pretty_text, list(weights)
    plain, _ = export.make_plain(cfg, weights)
    plain.model.decoder.max_seq_len = 99
    assert (cfg.pretty_text, list(weights)) == (text, keys)


def test_a_missing_weight_is_an_error(adapted):
    cfg, weights = adapted
    weights = {k: v for k, v in weights.items() if not k.startswith('encoder.')}
    with pytest.raises(
        ValueError,
        match='must hold all weights of EncoderDecoderRecognizer, got '
        r'none for encoder\.',
    ):
        export.make_plain(cfg, weights)


def test_a_weight_more_inside_the_recognizer_is_an_error(adapted):
    cfg, weights = adapted
    weights['backbone.layer1.0.bn1.scale'] = torch.ones(8)
    with pytest.raises(ValueError, match=r'got also backbone\.layer1\.0\.bn1\.scale; make'):
        export.make_plain(cfg, weights)


def with_gates(cfg, weights, part):
    """Convert the batch norms of a part, or of the whole model, and the weights with them."""
    node = cfg.model if part == 'model' else cfg.model[part]
    node.update(type='mmocr_da.WithBIN', of=node.type, exclude='*layer1.*')
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.load_state_dict(weights, strict=True)
    converted = model.state_dict()
    assert converted.keys() > weights.keys()
    return converted


@pytest.mark.parametrize('part', ['model', 'backbone'])
def test_batch_instance_norms_whose_gates_are_open_are_exported_as_batch_norms(adapted, part):
    cfg, weights = adapted
    wanted, wanted_weights = export.make_plain(cfg, weights)
    plain, plain_weights = export.make_plain(cfg, with_gates(cfg, weights, part))
    assert plain.model == wanted.model and export.remaining_parts(plain) == []
    assert plain_weights.keys() == wanted_weights.keys()
    assert all(torch.equal(plain_weights[key], wanted_weights[key]) for key in wanted_weights)


def test_a_gate_that_is_not_open_cannot_be_exported(adapted):
    cfg, weights = adapted
    weights = with_gates(cfg, weights, 'model')
    weights['backbone.layer2.0.bn1.rho'][3] = 1 - 1e-6
    with pytest.raises(ValueError, match=r'backbone\.layer2\.0\.bn1: .*gates are 1.*keep mmocr_da'):
        export.make_plain(cfg, weights)


def test_a_gate_of_what_is_dropped_does_not_matter(adapted):
    cfg, weights = adapted
    weights['objectives.global.bn.rho'] = torch.zeros(8)
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.objectives['global'].bn = BatchInstanceNorm2d(8)
    assert 'objectives.global.bn.rho' not in export.make_plain(cfg, weights, model)[1]


def test_a_norm_layer_of_a_config_becomes_a_batch_norm():
    model = ConfigDict(
        type='mmocr_da.WithBIN',
        of='DBNet',
        include=['det_head.*'],
        backbone=dict(
            type='mmdet.ResNet', depth=18, norm_cfg=dict(type='mmocr_da.BIN', requires_grad=True)
        ),
        neck=[dict(conv=dict(norm_cfg=dict(type='mmocr_da.BIN1d')))],
    )
    before = copy.deepcopy(model)
    plain = export.plain_model(model)
    assert model == before
    assert plain.type == 'DBNet' and 'include' not in plain
    assert plain.backbone.norm_cfg == dict(type='BN', requires_grad=True)
    assert plain.neck[0].conv.norm_cfg == dict(type='BN1d')


def test_statistics_of_the_source_are_dropped(adapted):
    cfg, weights = adapted
    wanted = export.make_plain(cfg, weights)[1]
    cfg.model.norm_statistics = 'per_domain'
    for key in [key for key in weights if 'running' in key and not key.startswith('decoder')]:
        weights[key.replace('running', 'source')] = torch.rand(weights[key].shape)
    build(cfg, weights)
    plain = export.make_plain(cfg, weights)[1]
    assert plain.keys() == wanted.keys()
    assert all(torch.equal(plain[key], wanted[key]) for key in plain)
    # but only where a norm layer has them
    weights['backbone.source_mean'] = torch.rand(8)
    with pytest.raises(ValueError, match=r'got also backbone\.source_mean; make'):
        export.make_plain(cfg, weights)


def test_a_model_without_a_stock_counterpart_is_an_error(adapted):
    cfg, weights = adapted
    cfg.model = ConfigDict(type='mmocr_da.DomainDiscriminator')
    with pytest.raises(ValueError, match='DomainDiscriminator'):
        export.make_plain(cfg, weights)


@pytest.mark.parametrize('change', ['text', 'probabilities'])
def test_the_check_sees_a_model_that_reads_differently(adapted, change):
    first, second = build(*adapted), build(*adapted)
    batch = random_batch(adapted[0])
    assert export.same_predictions(first, second, batch)
    with torch.no_grad():
        # The second is too little for another text, and the check must still see it.
        second.decoder.fc.bias[3] += 100 if change == 'text' else 0.01
    assert not export.same_predictions(first, second, batch)


@pytest.mark.parametrize('difference, same', [(5e-6, True), (2e-3, False), (float('nan'), False)])
def test_rounding_is_no_difference(adapted, monkeypatch, difference, same):
    """In another memory format the probabilities of a trained recognizer have differed by 1e-5."""
    first, second = build(*adapted), build(*adapted)
    forward = second._forward
    monkeypatch.setattr(second, '_forward', lambda *args: forward(*args) + difference)
    assert export.same_predictions(first, second, random_batch(adapted[0])) == same


@pytest.mark.parametrize('same', [[False, True], [False, False, False]])
def test_a_tie_in_a_batch_of_noise_stops_no_export(adapted, tmp_path, monkeypatch, same):
    cfg, weights = adapted
    torch.save(dict(state_dict=weights), tmp_path / 'in.pth')
    answers = iter(same)
    monkeypatch.setattr(export, 'same_predictions', lambda *_: next(answers))
    arguments = cfg, str(tmp_path / 'in.pth'), str(tmp_path / 'out'), 'name'
    if any(same):
        assert os.path.exists(export.export(*arguments)[1])
    else:
        with pytest.raises(RuntimeError, match='does not predict what'):
            export.export(*arguments)


def test_what_remains_of_ours_is_named():
    cfg = Config(
        dict(
            model=dict(decoder=dict(type='mmocr_da.AttentionDecoder')),
            hooks=[dict(type='mmocr_da.A'), (dict(type='mmocr_da.A'),)],
            type='CRNN',
        )
    )
    assert export.remaining_parts(cfg) == ['mmocr_da.A', 'mmocr_da.AttentionDecoder']


def test_our_hooks_imports_and_preprocessor_give_way(adapted):
    cfg, weights = adapted
    cfg.default_hooks.ours = dict(type='mmocr_da.SomeHook')
    cfg.custom_imports = dict(imports=['mmocr_da.models', 'other'], allow_failed_imports=False)
    cfg.model.data_preprocessor.type = 'mmocr_da.BatchedTextRecogDataPreprocessor'
    plain, _ = export.make_plain(cfg, weights)
    assert 'ours' not in plain.default_hooks and 'logger' in plain.default_hooks
    assert plain.custom_imports.imports == ['other']
    assert plain.model.data_preprocessor.type == 'TextRecogDataPreprocessor'
    assert plain.model.data_preprocessor.mean == [127.5]


def test_dictionaries_of_one_name_do_not_overwrite_each_other(tmp_path):
    for name in 'ab':
        (tmp_path / name).mkdir()
        (tmp_path / name / 'dict.txt').write_text(name)
    paths = [str(tmp_path / name / 'dict.txt') for name in 'aba']
    cfg = Config(dict(parts=[dict(dict_file=path) for path in paths]))
    export.bundle_dictionaries(cfg, str(tmp_path))
    files = [part.dict_file.split('/')[-1] for part in cfg.parts]
    assert all(part.dict_file.startswith('{{ fileDirname }}/') for part in cfg.parts)
    assert [(tmp_path / file).read_text() for file in files] == ['a', 'b', 'a']


def test_a_config_inherited_from_this_package_keeps_no_mark_of_it(tmp_path):
    """MMEngine marks what it takes from ``mmocr_da::``, and stock MMOCR cannot resolve the mark."""
    config = tmp_path / 'theirs.py'
    config.write_text("_base_ = 'mmocr_da::assda/small/small_assda.py'\n")
    cfg = Config.fromfile(str(config))
    assert "_scope_='mmocr_da'" in cfg.pretty_text
    plain, _ = export.make_plain(cfg, MODELS.build(copy.deepcopy(cfg.model)).state_dict())
    assert "_scope_='mmocr_da'" not in plain.pretty_text
    assert export.remaining_parts(plain) == []


def test_without_test_data_nothing_is_written(adapted):
    cfg, weights = adapted
    cfg.test_dataloader = None
    with pytest.raises(ValueError, match='needs a test_dataloader'):
        export.make_plain(cfg, weights)


@pytest.fixture(params=['attention', 'ctc', 'ctc_rnn'])
def with_twins(toy, request):
    """``with_twins(predict_with)``: config and weights of a toy whose C^s and C^t differ, and where
    the two are."""

    def make(predict_with):
        cfg = Config.fromfile(str(toy))
        cfg.model.objectives = [
            dict(type='mmocr_da.GlobalAlignment', in_channels=16),
            dict(type='mmocr_da.SymNetHead', predict_with=predict_with),
        ]
        path = 'decoder.fc'
        if request.param != 'attention':
            dictionary = dict(
                cfg.model.decoder.dictionary, with_start=False, with_end=False, same_start_end=False
            )
            cfg.model.encoder = None
            cfg.model.decoder = ConfigDict(
                type='CRNNDecoder',
                in_channels=16,
                rnn_flag=request.param == 'ctc_rnn',
                dictionary=dictionary,
                module_loss=dict(type='CTCModuleLoss'),
                postprocessor=dict(type='CTCPostProcessor'),
            )
            path = 'decoder.decoder' + '.1.embedding' * (request.param == 'ctc_rnn')
        weights = MODELS.build(copy.deepcopy(cfg.model)).state_dict()
        paths = dict(source=path, target='objectives.symnet.classifier')
        for path in paths.values():
            torch.nn.init.normal_(weights[f'{path}.weight'])
        return cfg, weights, paths

    return make


def test_the_classifier_that_predicts_is_the_exported_one(with_twins):
    texts = {}
    for predict_with in ('source', 'target'):
        torch.manual_seed(0)
        cfg, weights, paths = with_twins(predict_with)
        before = {key: value.clone() for key, value in weights.items()}
        plain, plain_weights = export.make_plain(cfg, weights)
        assert not any(key.startswith('objectives') for key in plain_weights)
        assert plain.model.type == 'EncoderDecoderRecognizer' and 'objectives' not in plain.model
        assert export.remaining_parts(plain) == []
        for key in ('weight', 'bias'):
            assert torch.equal(
                plain_weights[f'{paths["source"]}.{key}'], weights[f'{paths[predict_with]}.{key}']
            )
        others = [key for key in plain_weights if not key.startswith(paths['source'] + '.')]
        assert all(torch.equal(plain_weights[key], weights[key]) for key in others)
        assert weights.keys() == before.keys()
        assert all(torch.equal(weights[key], before[key]) for key in before)

        model = build(plain, plain_weights)
        assert type(model) is EncoderDecoderRecognizer
        for seed in range(2):
            batch = random_batch(plain, seed)
            assert export.same_predictions(build(cfg, weights), model, batch)
        texts[predict_with] = [s.pred_text.item for s in model.eval().test_step(batch)]
    assert texts['source'] != texts['target']


def test_the_check_tells_the_two_classifiers_apart(with_twins):
    cfg, weights, paths = with_twins('target')
    plain, plain_weights = export.make_plain(cfg, weights)
    for key in ('weight', 'bias'):
        plain_weights[f'{paths["source"]}.{key}'] = weights[f'{paths["source"]}.{key}']
    assert not export.same_predictions(
        build(cfg, weights), build(plain, plain_weights), random_batch(plain)
    )


@pytest.mark.parametrize('predict_with', ['source', 'target'])
def test_a_checkpoint_that_numbers_its_objectives_is_exported(with_twins, predict_with):
    cfg, weights, _ = with_twins(predict_with)
    old = {
        key.replace('objectives.global.', 'objectives.0.').replace(
            'objectives.symnet.', 'objectives.1.'
        ): value
        for key, value in weights.items()
    }
    new, expected = export.make_plain(cfg, old)[1], export.make_plain(cfg, weights)[1]
    assert new.keys() == expected.keys() and len(old) == len(weights)
    assert all(torch.equal(new[key], expected[key]) for key in new)


def test_without_c_t_in_the_checkpoint_c_s_is_exported(with_twins):
    """As training would start C^t."""
    cfg, weights, _ = with_twins('target')
    weights = {
        key: value for key, value in weights.items() if not key.startswith('objectives.symnet.')
    }
    plain, plain_weights = export.make_plain(cfg, weights)
    assert all(torch.equal(plain_weights[key], weights[key]) for key in plain_weights)
    assert export.same_predictions(
        build(cfg, weights), build(plain, plain_weights), random_batch(plain)
    )


def test_metrics_of_the_single_classifiers_give_way(with_twins):
    cfg, weights, _ = with_twins('target')
    cfg.test_evaluator.metrics = [
        dict(type='mmocr_da.TextErrorMetric'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
    ]
    plain, _ = export.make_plain(cfg, weights)
    assert [m.type for m in plain.test_evaluator.metrics] == [
        'WordMetric',
        'CharMetric',
        'OneMinusNEDMetric',
    ]


@pytest.mark.parametrize('name', ['mmocr_da.SeqCLR', 'SeqCLR'])
def test_an_encoder_without_a_decoder_cannot_be_exported(adapted, name):
    cfg, weights = adapted
    cfg.model.type = name
    with pytest.raises(ValueError, match='SeqCLR has no decoder.*load_from'):
        export.make_plain(cfg, weights)


def test_a_detector_is_exported_without_its_surrogate(adapted, tmp_path):
    cfg, _ = adapted
    (tmp_path / 'd.py').write_text("_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'")
    detector = Config.fromfile(str(tmp_path / 'd.py')).model
    detector.backbone.update(depth=18, base_channels=4, init_cfg=None)
    detector.neck.update(in_channels=[4, 8, 16, 32], out_channels=8)
    detector.rpn_head.update(in_channels=8, feat_channels=8)
    detector.roi_head.bbox_roi_extractor.out_channels = 8
    head = detector.roi_head.bbox_head
    head.update(in_channels=8, fc_out_channels=8, num_classes=1, reg_decoded_bbox=True)
    head['loss_bbox'] = dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local'))
    cfg.model = ConfigDict(type='MMDetWrapper', cfg=detector)
    tuned = MODELS.build(copy.deepcopy(cfg.model)).state_dict()
    plain, weights = export.make_plain(cfg, tuned)
    assert plain.model.cfg.roi_head.bbox_head.loss_bbox.type == 'SmoothL1Loss'
    build(plain, weights)
    left = {k for k in tuned if 'surrogate' in k}
    assert left and weights.keys() == tuned.keys() - left


def test_a_rotated_detector_has_no_plain_one(adapted):
    cfg, weights = adapted
    cfg.model = ConfigDict(type='mmocr_da.RotatedMMDetWrapper')
    with pytest.raises(ValueError, match='MMOCR has no rotated boxes'):
        export.make_plain(cfg, weights)
