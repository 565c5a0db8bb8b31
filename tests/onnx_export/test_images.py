"""What the graph does with pixels is what the test pipeline does."""

import numpy as np
import pytest
import torch
from helpers.families import narrow
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import TRANSFORMS

from mmocr_da.config_names import CONFIGS
from mmocr_da.engine.inference import inference_pipeline
from mmocr_da.onnx_export.graph import columns_of_text
from mmocr_da.onnx_export.images import dark_on_bright, normalize, read_pipeline, standardize
from mmocr_da.registry import MODELS

STEPS = Config.fromfile(str(CONFIGS / '_base_/standardized.py'))
OURS = dict(standardize=standardize, dark_on_bright=dark_on_bright)


def images(count=4, height=6, width=20, channels=3):
    rng = np.random.default_rng(0)
    out = rng.integers(0, 256, (count, height, width, channels)).astype(np.uint8)
    out[1] = 80  # of a single colour
    out[2] = out[2] // 64 + 30  # faint
    out[3, 1:3, 1:3] = 255
    out[3] = out[3] // 4 * 3
    return out


@pytest.mark.parametrize('ratios', [(1.0,) * 4, (0.5, 0.05, 0.77, 0.0)])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('names', [['standardize'], [*OURS], ['dark_on_bright']])
def test_steps_of_the_graph_are_those_of_the_pipeline(names, channels, ratios):
    pixels = images(channels=channels)
    inside = columns_of_text(torch.tensor(ratios).double(), pixels.shape[2])
    found = torch.from_numpy(pixels).permute(0, 3, 1, 2).double()
    wanted = [dict(img=image, valid_ratio=ratio) for image, ratio in zip(pixels, ratios)]
    for name in names:
        found = OURS[name](found, inside)
        for results in wanted:
            TRANSFORMS.build(STEPS[name])(results)
    for image, results in zip(found.float().permute(0, 2, 3, 1), wanted):
        np.testing.assert_allclose(image, results['img'], atol=1e-4)


def test_the_steps_are_read_from_the_pipeline():
    cfg = narrow('ASTER')
    data = cfg.test_dataloader.dataset
    settings, steps = read_pipeline(cfg)
    assert steps == [] and settings == dict(
        color='bgr',
        height=64,
        width=256,
        rescale=None,
        interpolation='bilinear',
        padded_width=None,
        padding=0,
    )
    data.pipeline = [*data.pipeline[:-1], *(STEPS[name] for name in OURS), data.pipeline[-1]]
    assert read_pipeline(cfg)[1] == [standardize, dark_on_bright]
    data.pipeline.insert(-1, dict(STEPS.standardize, condition='True'))
    with pytest.raises(ValueError, match='got the step ConditionApply'):
        read_pipeline(cfg)


@pytest.mark.parametrize('options', [{}, dict(mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True)])
def test_images_are_normalized_as_by_the_data_preprocessor(options):
    preprocessor = MODELS.build(dict(type='TextRecogDataPreprocessor', **options))
    pixels = torch.from_numpy(images()).permute(0, 3, 1, 2)
    wanted = preprocessor(dict(inputs=list(pixels), data_samples=None), False)['inputs']
    torch.testing.assert_close(normalize(preprocessor, pixels.float()), wanted)


def test_test_datasets_with_different_pipelines_are_refused():
    def pipeline(width):
        return [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(width, 32)),
            dict(type='PackTextRecogInputs'),
        ]

    def cfg(*widths):
        datasets = [dict(type='OCRDataset', pipeline=pipeline(width)) for width in widths]
        return Config(
            dict(test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=datasets)))
        )

    init_default_scope('mmocr')
    assert read_pipeline(cfg(100, 100))[0]['width'] == 100
    with pytest.raises(ValueError, match='an ONNX export needs one test pipeline'):
        read_pipeline(cfg(100, 256))
    # All others take that of the last one, which is the target.
    assert inference_pipeline(cfg(100, 256)).transforms[1].scale == (256, 32)
