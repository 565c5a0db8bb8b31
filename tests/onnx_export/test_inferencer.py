"""An ONNX file is used as MMOCR uses the recognizer: images, classes to texts, and bad input."""

import cv2
import numpy as np
import pytest
import torch
from helpers.families import FAMILIES, narrow
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from mmocr_da.engine.inference import inference_pipeline
from mmocr_da.onnx_export import OnnxInferencer
from mmocr_da.onnx_export.export import _decoding
from mmocr_da.onnx_export.images import read_pipeline
from mmocr_da.onnx_export.inferencer import _loaded
from mmocr_da.registry import MODELS


def inferencer(**metadata):
    """One without a graph."""
    made = OnnxInferencer.__new__(OnnxInferencer)
    made.metadata, made.needs_ratio, made.batch_size = metadata, False, 4
    return made


@pytest.mark.parametrize('family', FAMILIES)
def test_images_are_prepared_as_by_the_test_pipeline(family, tmp_path):
    cfg = narrow(family)
    prepare = inferencer(image=read_pipeline(cfg)[0]).prepare
    pipeline, rng = inference_pipeline(cfg), np.random.default_rng(0)
    for i, shape in enumerate([(32, 100), (7, 90), (50, 20), (40, 333), (1, 1)]):
        path = str(tmp_path / f'{i}.png')
        cv2.imwrite(path, rng.integers(0, 256, (*shape, 3)).astype(np.uint8))
        wanted = pipeline(path)
        found, ratio = prepare(path)
        np.testing.assert_array_equal(found.transpose(2, 0, 1), wanted['inputs'].numpy())
        assert ratio == wanted['data_samples'].get('valid_ratio', 1)
        again, _ = prepare(cv2.imread(path))
        # OpenCV rounds the grey of a file in another way than that of an array.
        np.testing.assert_allclose(again.astype(int), found, atol=2 * (family == 'CRNN'))


@pytest.mark.parametrize('ignored', [['padding'], ['padding', 'unknown'], ['padding', 'end']])
@pytest.mark.parametrize('kind', ['AttentionPostprocessor', 'CTCPostProcessor'])
def test_classes_become_texts_as_in_mmocr(digits_dictionary, recognizer_cfg, crnn, kind, ignored):
    cfg = crnn if kind.startswith('CTC') else recognizer_cfg()['decoder']
    if kind.startswith('CTC') and 'end' in ignored:
        pytest.skip('a dictionary of CTC has no end')
    cfg['postprocessor']['ignore_chars'] = ignored
    decoder = MODELS.build(cfg)
    decode = inferencer(**_decoding(decoder)).decode
    count = decoder.dictionary.num_classes
    generator = torch.Generator().manual_seed(0)
    texts = set()
    for _ in range(200):
        # Of few classes, so that some follow themselves.
        classes = torch.randint(0, count, (3,), generator=generator)
        classes = classes[torch.randint(0, 3, (9,), generator=generator)]
        probabilities = torch.full((9, count), 0.01).scatter(
            1, classes[:, None], torch.rand(9, 1, generator=generator) + 0.1
        )
        (wanted,) = decoder.postprocessor(
            probabilities[None], [TextRecogDataSample(pred_text=LabelData())]
        )
        highest, indices = probabilities.max(-1)
        found = decode(indices.tolist(), highest.tolist())
        assert found.text == wanted.pred_text.item
        assert found.scores == wanted.pred_text.score
        assert found.score == pytest.approx(np.mean(found.scores) if found.scores else 0)
        texts.add(found.text)
    assert len(texts) > 50


def test_a_grey_array_is_shown_in_colour_and_the_reverse():
    settings = dict(height=4, width=6, rescale=None, interpolation='bilinear', padded_width=None)
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for color, channels in (('bgr', 3), ('gray', 1)):
        prepare = inferencer(image=dict(settings, color=color)).prepare
        for image in (grey, np.repeat(grey[..., None], 3, 2)):
            found, ratio = prepare(image)
            assert ratio == 1 and found.shape == (4, 6, channels)
            np.testing.assert_array_equal(found, np.repeat(grey[..., None], channels, 2))


@pytest.mark.parametrize(
    'image, got',
    [
        ('none.png', 'none.png'),
        (np.zeros((4, 4), np.float32), r'float32 \(4, 4\)'),
        (np.zeros((4, 4, 4), np.uint8), r'uint8 \(4, 4, 4\)'),
    ],
)
def test_what_is_no_image_is_named(image, got):
    with pytest.raises(ValueError, match=f'images must be .*{got}'):
        inferencer(image=dict(color='gray')).prepare(image)


def test_another_file_is_refused():
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    output = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], 'other', [value], [output])
    opsets = [onnx.helper.make_opsetid('', 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(ValueError, match='must be a file of tools/export_onnx.py'):
        OnnxInferencer(model.SerializeToString())


def test_an_image_without_a_list_is_refused_and_a_path_is_a_path(tmp_path):
    image = np.zeros((8, 9, 3), np.uint8)
    for single in (image, image[..., 0], 'a.png', tmp_path / 'a.png'):
        with pytest.raises(ValueError, match='images must be a list, got a single image'):
            inferencer()(single)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert _loaded(tmp_path / 'a.png', 'bgr').shape == image.shape


@pytest.mark.parametrize('kind', ['transparent', '16 bits', 'opaque', 'grey'])
def test_a_file_that_may_be_black_is_a_warning(tmp_path, kind, recwarn):
    image = np.zeros((8, 9, 4), np.uint8)
    image[..., 3] = 255
    if kind == 'transparent':
        image[:4, :, 3] = 0
    elif kind == '16 bits':
        image = np.full((8, 9), 255, np.uint16)
    elif kind == 'grey':
        image = image[..., 0]
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    _loaded(str(tmp_path / 'a.png'), 'gray')
    said = [str(w.message) for w in recwarn if 'may be loaded as black' in str(w.message)]
    assert len(said) == (kind in ('transparent', '16 bits'))
