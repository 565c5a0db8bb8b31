"""The ONNX file of every recognizer predicts what MMOCR does, and says how it is used."""

import copy
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.decoders import prepared
from helpers.families import FAMILIES, narrow
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmocr.models.textrecog.decoders import ASTERDecoder
from mmocr.models.textrecog.encoders import ASTEREncoder
from mmocr.models.textrecog.postprocessors import AttentionPostprocessor
from mmocr.registry import MODELS as MMOCR_MODELS

import mmocr_da
from mmocr_da.config_names import CONFIGS
from mmocr_da.engine.inference import inference_pipeline, predict
from mmocr_da.export import load_plain
from mmocr_da.onnx_export import OnnxInferencer, export_onnx
from mmocr_da.onnx_export.verification import example_images
from mmocr_da.registry import MODELS

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

PADDED = [
    dict(type='RescaleToHeight', height=32, min_width=32, max_width=128, width_divisor=4),
    dict(type='PadToWidth', width=128),
]
STANDARDIZED = Config.fromfile(str(CONFIGS / '_base_/standardized.py'))


@pytest.fixture
def checkpoint(tmp_path):
    """Writes random weights, large enough for different texts."""

    def make(cfg):
        torch.manual_seed(1)
        model = MODELS.build(copy.deepcopy(cfg.model))
        prepared(model.decoder)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(1.5)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
        return str(tmp_path / 'model.pth')

    return make


def steps_before_packing(cfg, *steps, resize=None):
    """Replace the resizing of a test pipeline, and add steps at its end."""
    old = cfg.test_dataloader.dataset.pipeline
    resize = [old[1]] if resize is None else resize
    cfg.test_dataloader.dataset.pipeline = [old[0], *resize, *steps, old[-1]]
    return cfg


def check_same(cfg, checkpoint, path):
    """Texts and probabilities of each step are MMOCR's, in batches and alone."""
    written = export_onnx(cfg, checkpoint, path)
    model, pipeline = load_plain(cfg, checkpoint), inference_pipeline(cfg)
    inferencer = OnnxInferencer(written.path, batch_size=3, threads=1)
    metadata = inferencer.metadata
    images = example_images(metadata['characters'], metadata['image']['color'], seed=1)
    found = inferencer(images)
    wanted = [sample.pred_text for sample in predict(model, pipeline, images, batch_size=4)]
    assert [x.text for x in found] == [x.item for x in wanted]
    for ours, theirs in zip(found, wanted):
        np.testing.assert_allclose(ours.scores, theirs.score, atol=1e-4)
    steps = []
    for image, prediction in zip(images[:2], found):
        (alone,) = inferencer([image])
        assert alone.text == prediction.text
        np.testing.assert_allclose(alone.scores, prediction.scores, atol=1e-5)
        steps.append(check_steps(model, pipeline, inferencer, image))
    assert steps[0].mean() != steps[1].mean()


def check_steps(model, pipeline, inferencer, image):
    """The outputs of the graph are the highest probability of each step; return them."""
    data = model.data_preprocessor(pseudo_collate([pipeline(image)]), False)
    with torch.no_grad():
        probabilities, classes = model(**data, mode='tensor').max(-1)
    pixels, ratio = inferencer.prepare(image)
    inputs = dict(images=pixels[None], valid_ratio=np.array([ratio]))
    names = [x.name for x in inferencer.session.get_inputs()]
    indices, found = inferencer.session.run(None, {name: inputs[name] for name in names})
    frames = round(classes.size(1) * ratio) if inferencer.metadata['decoding'] == 'ctc' else None
    np.testing.assert_array_equal(indices[:, :frames], classes[:, :frames])
    np.testing.assert_allclose(found, probabilities, atol=1e-4)
    return found


@pytest.mark.parametrize('family', FAMILIES)
def test_every_recognizer_of_mmocr_predicts_the_same(family, checkpoint, tmp_path):
    cfg = narrow(family)
    check_same(cfg, checkpoint(cfg), tmp_path / 'model.onnx')
    graph = onnx.load(tmp_path / 'model.onnx').graph
    shapes = {
        x.name: [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in [*graph.input, *graph.output]
    }
    height, *width = shapes['images'][1:3]
    assert shapes['images'][0] == 'batch' and type(height) is int
    assert width == ['width'] if family == 'CRNN' else type(*width) is int
    uses_ratio = family in ('SAR, parallel', 'SAR, sequential', 'RobustScanner', 'NRTR')
    assert ('valid_ratio' in shapes) == uses_ratio
    assert shapes['indices'][0] == shapes['probabilities'][0] == 'batch'


def attention(cell):
    cfg = narrow('ASTER')
    old = cfg.model.decoder
    names = 'in_channels', 'dictionary', 'module_loss', 'postprocessor', 'max_seq_len'
    kept = {name: old[name] for name in names}
    cfg.model.decoder = dict(
        kept, type='mmocr_da.AttentionDecoder', emb_dims=12, attn_dims=12, hidden_size=12, cell=cell
    )
    return cfg


def with_options(family, **options):
    cfg = narrow(family)
    cfg.merge_from_dict(dict(model=dict(decoder=options)))
    return cfg


def padded_crnn():
    return steps_before_packing(narrow('CRNN'), resize=PADDED)


def standardized(cfg):
    return steps_before_packing(cfg, STANDARDIZED.standardize, STANDARDIZED.dark_on_bright)


CASES = {
    'AttentionDecoder, GRU': lambda: attention('gru'),
    'AttentionDecoder, LSTM': lambda: attention('lstm'),
    'CRNN without LSTM': lambda: with_options('CRNN', rnn_flag=False),
    'CRNN of padded images': padded_crnn,
    'SAR with GRU and without masks': lambda: with_options(
        'SAR, parallel', dec_gru=True, mask=False, pred_concat=True
    ),
    'RobustScanner, values of the encoder': lambda: with_options(
        'RobustScanner', hybrid_decoder=dict(encode_value=True), in_channels=[12, 16]
    ),
    'standardized': lambda: standardized(narrow('CRNN')),
    'standardized and padded': lambda: standardized(padded_crnn()),
}


@pytest.mark.parametrize('case', CASES)
def test_options_of_recognizers_and_pipelines_are_kept(case, checkpoint, tmp_path):
    cfg = CASES[case]()
    check_same(cfg, checkpoint(cfg), tmp_path / 'model.onnx')


def test_an_adapted_recognizer_is_exported_as_its_plain_one(toy, trained, tmp_path):
    cfg = Config.fromfile(str(toy))
    out = tmp_path / 'model.onnx'
    written = mmocr_da.export_onnx(str(toy), str(trained / 'iter_2.pth'), out)
    assert written.path == str(out) and written.difference < 1e-4
    images = [str(toy.parent / f'target_{i}.png') for i in range(6)]
    model = load_plain(cfg, str(trained / 'iter_2.pth'))
    wanted = [sample.pred_text for sample in predict(model, inference_pipeline(cfg), images)]
    assert [x.text for x in OnnxInferencer(str(out))(images)] == [x.item for x in wanted]
    names = {x.name for x in onnx.load(out).graph.initializer}
    assert not any('objectives' in name for name in names)


def test_the_file_says_how_it_is_used(checkpoint, tmp_path):
    cfg = narrow('SAR, parallel')
    written = export_onnx(cfg, checkpoint(cfg), tmp_path / 'sar.onnx')
    properties = {x.key: json.loads(x.value) for x in onnx.load(written.path).metadata_props}
    assert properties == written.metadata
    model = MODELS.build(cfg.model)
    dictionary = model.decoder.dictionary
    assert properties['characters'] == dictionary.dict
    assert properties['end'] == dictionary.end_idx and properties['blank'] is None
    assert properties['ignored'] == model.decoder.postprocessor.ignore_indexes
    assert properties['decoding'] == 'sequence'
    assert properties['max_length'] == model.decoder.max_seq_len
    assert properties['image'] == dict(
        color='bgr',
        height=48,
        width=None,
        rescale=dict(min_width=48, max_width=160, width_divisor=4),
        interpolation='bilinear',
        padded_width=160,
        padding=0,
    )
    cfg = narrow('CRNN')
    properties = export_onnx(cfg, checkpoint(cfg), tmp_path / 'crnn.onnx').metadata
    dictionary = MODELS.build(cfg.model).decoder.dictionary
    assert properties['blank'] == dictionary.padding_idx and properties['end'] is None
    assert properties['decoding'] == 'ctc' and properties['image']['color'] == 'gray'


class LoopingEncoder(ASTEREncoder):
    """An encoder that looks at each sample."""

    def forward(self, feat, data_samples):
        return super().forward(feat * len([s.valid_ratio for s in data_samples]))


class OtherDecoder(ASTERDecoder):
    """A decoder that computes something else."""

    def _attention(self, feat, *args):
        return super()._attention(feat + 1, *args)


class OtherPostprocessor(AttentionPostprocessor):
    """A postprocessor that may do anything."""


def padded_after_standardizing(cfg):
    return steps_before_packing(cfg, STANDARDIZED.standardize, PADDED[1])


def resized(**options):
    return lambda cfg: steps_before_packing(cfg, resize=[dict(type='Resize', **options)])


def changed(**options):
    return lambda cfg: cfg.merge_from_dict(dict(model=options))


#: By what the message says: a family and how its config is changed.
REFUSED = {
    'ParallelSARDecoder cannot .* dec_bi_rnn=False': (
        'SAR, parallel',
        changed(decoder=dict(dec_bi_rnn=True)),
    ),
    'OtherDecoder cannot .*: it changes methods of ASTERDecoder': (
        'ASTER',
        changed(decoder=dict(type='OtherDecoder')),
    ),
    'LoopingEncoder cannot .*single data samples': (
        'ASTER',
        changed(encoder=dict(type='LoopingEncoder')),
    ),
    'postprocessor.* got OtherPostprocessor': (
        'ASTER',
        changed(decoder=dict(postprocessor=dict(type='OtherPostprocessor'))),
    ),
    'pad_size_divisor=1, got .* 4': ('CRNN', changed(data_preprocessor=dict(pad_size_divisor=4))),
    'got the step .*keep_ratio=True': ('CRNN', resized(scale=(100, 32), keep_ratio=True)),
    'got the step .*lanczos9': ('CRNN', resized(scale=(100, 32), interpolation='lanczos9')),
    'got the step PadToWidth': ('CRNN', padded_after_standardizing),
    'or RescaleToHeight, got only': ('CRNN', lambda cfg: steps_before_packing(cfg, resize=[])),
}


@pytest.mark.parametrize('message', REFUSED)
def test_what_cannot_be_exported_is_refused_with_the_reason(
    message, checkpoint, tmp_path, monkeypatch
):
    for cls in (LoopingEncoder, OtherDecoder, OtherPostprocessor):
        monkeypatch.setitem(MMOCR_MODELS.module_dict, cls.__name__, cls)
    family, change = REFUSED[message]
    cfg = narrow(family)
    change(cfg)
    with pytest.raises(ValueError, match=message):
        export_onnx(cfg, checkpoint(cfg), tmp_path / 'new' / 'model.onnx')
    assert not (tmp_path / 'new').exists()


def test_a_graph_that_predicts_something_else_is_not_written(checkpoint, tmp_path, monkeypatch):
    cfg = narrow('CRNN')
    monkeypatch.setattr('mmocr_da.onnx_export.graph.normalize', lambda _, pixels: pixels / 255)
    with pytest.raises(RuntimeError, match='so nothing was written'):
        export_onnx(cfg, checkpoint(cfg), tmp_path / 'new' / 'model.onnx')
    assert not (tmp_path / 'new').exists()


def test_a_file_of_the_user_is_not_replaced(checkpoint, tmp_path):
    cfg, out = narrow('CRNN'), tmp_path / 'model.onnx'
    export_onnx(cfg, checkpoint(cfg), out)
    export_onnx(cfg, checkpoint(cfg), out)
    out.write_text('mine')
    with pytest.raises(ValueError, match='was not written by tools/export_onnx.py'):
        export_onnx(cfg, checkpoint(cfg), out)
    assert out.read_text() == 'mine'


@pytest.mark.parametrize('name', ['onnx', 'onnxruntime'])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"there is no {name}: pip install 'mmocr_da\[onnx\]'"):
        export_onnx(narrow('CRNN'), 'none.pth', tmp_path / 'model.onnx')


def test_a_detector_is_refused(tmp_path, monkeypatch):
    cfg = narrow('CRNN')
    monkeypatch.setattr(
        'mmocr_da.onnx_export.export.load_plain', lambda *_, **__: torch.nn.Linear(1, 1)
    )
    cfg.model.type = 'DBNet'
    with pytest.raises(ValueError, match='needs a text recognizer .* got a model of type DBNet'):
        export_onnx(cfg, 'none.pth', tmp_path / 'model.onnx')


def test_the_program_in_the_documentation_predicts_the_same(checkpoint, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / 'docs/onnx.md').read_text()
    program = re.findall(r'```python\n(.*?)```', text, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    image = example_images(['a', 'b', '7'])[1]
    cv2.imwrite('word.png', image)
    for family in ('ASTER', 'SVTR'):
        cfg = narrow(family)
        export_onnx(cfg, checkpoint(cfg), 'recognizer.onnx')
        names = {}
        exec(program, names)
        (wanted,) = OnnxInferencer('recognizer.onnx')([image])
        assert names['text'] == wanted.text and wanted.text
