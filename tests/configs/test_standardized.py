"""Images standardized one by one: exact, the same in training, testing and MMOCR alone."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmocr.models.textrecog.data_preprocessors import TextRecogDataPreprocessor
from mmocr.registry import MODELS, TRANSFORMS

from mmocr_da.datasets.polarity import has_bright_text
from mmocr_da.engine.inference import inference_pipeline
from mmocr_da.export import plain_config, remaining_parts

FILE = Path(__file__).parents[2] / 'configs/_base_/standardized.py'
STEPS = Config.fromfile(str(FILE))
RECOGNIZERS = (
    'crnn/crnn_mini-vgg_5e_mj',
    'svtr/svtr-tiny_20e_st_mj',
    'aster/aster_resnet45_6e_st_mj',
    'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real',
    'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real',
    'nrtr/nrtr_modality-transform_6e_st_mj',
    'satrn/satrn_shallow_5e_st_mj',
    'master/master_resnet31_12e_st_mj_sa',
    'abinet/abinet_20e_st-an_mj',
)


def run(step, image, **results):
    return TRANSFORMS.build(STEPS[step])(dict(img=image, **results))['img']


def standardize(image, **results):
    return run('standardize', image, **results)


def noise(*shape, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint8)


def text_image(background=200, text=40, width=80, shape=(3,)):
    image = np.full((24, width, *shape), background, np.uint8)
    words = '4711' * (width // 40)
    cv2.putText(image, words, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, [text] * 3, 1)
    return image


@pytest.mark.parametrize('shape', [(8, 20), (8, 20, 1), (8, 20, 3)])
def test_mean_and_deviation_are_those_of_all_images(shape):
    image = noise(*shape, low=30, high=90)
    out = standardize(image)
    assert out.shape == shape and out.dtype == np.float32
    assert out.mean(dtype=float) == pytest.approx(127.5, abs=1e-4)
    assert out.std(dtype=float) == pytest.approx(64, abs=1e-4)
    # A slow oracle: every value by the definition.
    values = image.reshape(-1).astype(float).tolist()
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
    expected = [127.5 + 64 * (v - mean) / deviation for v in values]
    np.testing.assert_allclose(out.reshape(-1), expected, rtol=1e-6)


@pytest.mark.parametrize('gain, offset', [(1, 90), (2, 0), (3, 17)])
def test_contrast_and_brightness_of_an_image_do_not_matter(gain, offset):
    image = noise(8, 20, 3, high=70)
    changed = (image.astype(int) * gain + offset).astype(np.uint8)
    np.testing.assert_allclose(standardize(image), standardize(changed), atol=1e-4)


def test_an_inverted_image_is_inverted_about_the_mean():
    image = noise(8, 20)
    np.testing.assert_allclose(standardize(image), 255 - standardize(255 - image), atol=1e-4)


def test_channels_keep_their_differences():
    image = noise(8, 20, 3)
    out = standardize(image).astype(float)
    slope = (out[..., 0] - out[..., 1])[image[..., 0] > image[..., 1]]
    assert (slope > 0).all()
    channels = out.mean((0, 1))
    assert np.ptp(channels) > 0  # each is not standardized alone


@pytest.mark.parametrize('value', [0, 113, 255])
@pytest.mark.parametrize('step', ['standardize', 'dark_on_bright'])
def test_an_image_of_a_single_colour_is_grey(step, value):
    out = standardize(np.full((8, 20, 3), value, np.uint8))
    if step == 'dark_on_bright':
        out = run(step, out)
    assert (out == 127.5).all()


def test_faint_noise_stays_faint():
    image = np.full((10, 100), 128, np.uint8)
    image[3, 7] = 129  # deviation 0.03
    assert np.ptp(standardize(image)) == pytest.approx(64)


@pytest.mark.parametrize('width', [1, 37, 100])
@pytest.mark.parametrize('padding', [1, 60, 1000])
def test_padding_does_not_count_and_is_neutral(width, padding):
    for shape in ((8, width), (8, width, 3)):
        results = dict(img=noise(*shape, high=80))
        alone = standardize(results['img'])
        pad = TRANSFORMS.build(dict(type='PadToWidth', width=width + padding))
        out = TRANSFORMS.build(STEPS.standardize)(pad(results))['img']
        np.testing.assert_array_equal(out[:, :width], alone)
        assert (out[:, width:] == 127.5).all() and out.shape[1] == width + padding


def test_an_image_wider_than_the_padding_counts_whole():
    image = noise(8, 200)
    np.testing.assert_array_equal(standardize(image, valid_ratio=1.0), standardize(image))


def test_one_column_counts_at_least():
    out = standardize(noise(8, 20), valid_ratio=0.001)
    assert np.isfinite(out).all() and np.ptp(out[:, 0]) > 0 and (out[:, 1:] == 127.5).all()


def test_text_is_dark_on_bright():
    dark, bright = text_image(200, 40), text_image(40, 200)
    one, other = (run('dark_on_bright', standardize(image)) for image in (dark, bright))
    np.testing.assert_array_equal(one, standardize(dark))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert one.min() < 127.5 - 64 < one.max()


def test_the_images_that_are_inverted_are_those_that_are_counted():
    rng = np.random.default_rng(0)
    for seed in range(20):
        ink, ground = map(int, rng.choice(256, 2, replace=False))
        image = text_image(ground, ink)
        image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        inverted = not np.array_equal(run('dark_on_bright', standardize(image)), standardize(image))
        assert inverted == has_bright_text(image)


def test_dark_on_bright_keeps_neutral_padding_and_comes_to_rest():
    pad = TRANSFORMS.build(dict(type='PadToWidth', width=100))
    out = TRANSFORMS.build(STEPS.standardize)(pad(dict(img=text_image(40, 200))))['img']
    once = run('dark_on_bright', out)
    assert (once[:, 80:] == 127.5).all() and not np.array_equal(once, out)
    np.testing.assert_array_equal(run('dark_on_bright', once), once)


# ---------------------------------------------------------------------------- recognizers


def recipe(name, polarity=False):
    """The config that the file's docstring shows, for another recognizer."""
    text = FILE.read_text().split('"""')[1]
    lines = [line[4:] for line in text.splitlines() if line.startswith('    ')]
    code = '\n'.join(lines).replace('satrn/satrn_shallow_5e_st_mj', name)
    assert name in code
    steps = '_base_.standardize, _base_.dark_on_bright'
    return code.replace('_base_.standardize', steps) if polarity else code


def write_recipe(path, name, polarity=False, more=''):
    path.write_text(recipe(name, polarity) + '\n' + more)
    return path


def pack(pipeline, images):
    samples = [pipeline(image) for image in images]
    return {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}


@pytest.mark.parametrize('name', RECOGNIZERS)
def test_every_recognizer_takes_it_and_an_export_keeps_it(name, tmp_path):
    cfg = Config.fromfile(str(write_recipe(tmp_path / 'adapted.py', name, polarity=True)))
    steps = [STEPS.standardize.condition, STEPS.dark_on_bright.condition]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert [step.get('condition') for step in loader.dataset.pipeline[-3:-1]] == steps
        assert loader.dataset.pipeline[-1].type == 'PackTextRecogInputs'
    plain = plain_config(cfg)
    assert remaining_parts(plain) == [] and 'mmocr_da' not in str(plain.to_dict())
    images = [text_image(220, 20, width=40), text_image(0, 250), text_image(220, 0, width=300)]
    ours, stock = (pack(inference_pipeline(c), images) for c in (cfg, plain))
    for a, b in zip(ours['inputs'], stock['inputs']):
        assert torch.equal(a, b)

    # Images of several widths in a batch: the recognizer sees neither brightness nor padding.
    preprocess = MODELS.build(plain.model.data_preprocessor)
    assert type(preprocess) is TextRecogDataPreprocessor
    inputs = preprocess(copy.deepcopy(stock))['inputs']
    assert inputs.isfinite().all() and inputs.abs().max() < 30
    darker = pack(inference_pipeline(plain), [image // 2 + 50 for image in images])
    # The only difference is that resizing rounds to whole numbers.
    torch.testing.assert_close(preprocess(darker)['inputs'], inputs, atol=0.2, rtol=0)


def test_training_images_are_standardized_as_test_images(tmp_path):
    cfg = Config.fromfile(str(write_recipe(tmp_path / 'adapted.py', RECOGNIZERS[3])))
    cv2.imwrite(str(tmp_path / 'image.png'), text_image())
    outs = []
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        pipeline = [TRANSFORMS.build(step) for step in loader.dataset.pipeline]
        results = dict(img_path=str(tmp_path / 'image.png'), instances=[dict(text='4711')])
        for transform in pipeline:
            results = transform(results)
        outs.append(results['inputs'])
    assert torch.equal(*outs)


def test_mmocr_alone_predicts_the_same(run_tool, tmp_path):
    """Its inferencer, in a process without this package, in batches of several widths."""
    more = (
        "model = dict(type='mmocr_da.AdaptiveRecognizer',"
        " objectives=[dict(type='mmocr_da.GlobalAlignment', in_channels=512)])"
    )
    config = write_recipe(tmp_path / 'adapted.py', RECOGNIZERS[0], more=more)
    cfg = Config.fromfile(str(config))
    adapted = MODELS.build(copy.deepcopy(cfg.model)).eval()
    torch.save(dict(state_dict=adapted.state_dict(), meta={}), tmp_path / 'adapted.pth')
    run_tool('export', config, tmp_path / 'adapted.pth', tmp_path / 'out')
    images = [text_image(width=width) for width in (40, 80, 200)]
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f'{i}.png'), image)
    code = f"""
import json, sys, torch
from mmocr_da import compat
compat.apply()
for name in [name for name in sys.modules if name.split('.')[0] == 'mmocr_da']:
    del sys.modules[name]
sys.modules['mmocr_da'] = None  # importing it is an error from here on
from mmocr.apis import TextRecInferencer
reader = TextRecInferencer('adapted.py', 'adapted.pth', device='cpu')
images = [{str(tmp_path)!r} + f'/{{i}}.png' for i in range(3)]
print(json.dumps(reader(images, batch_size=3, progress_bar=False)['predictions']))
_, batch = next(reader.preprocess(images, batch_size=3))
with torch.no_grad():
    batch = reader.model.data_preprocessor(batch, False)
    torch.save(reader.model(**batch, mode='tensor'), 'outputs.pt')
"""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path / 'out',
        text=True,
        capture_output=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    predictions = json.loads(done.stdout.splitlines()[-1])
    batch = pack(inference_pipeline(cfg), [str(tmp_path / f'{i}.png') for i in range(3)])
    samples = adapted.test_step(copy.deepcopy(batch))
    assert [p['text'] for p in predictions] == [s.pred_text.item for s in samples]
    # Random weights may predict nothing: the outputs say more.
    with torch.no_grad():
        outputs = adapted(**adapted.data_preprocessor(batch, False), mode='tensor')
    assert torch.equal(outputs, torch.load(tmp_path / 'out/outputs.pt'))
    assert outputs.std(0).max() > 0
