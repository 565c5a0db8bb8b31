"""Toys that several tests share: a tiny recognizer and samples of two domains."""
import copy

import mmocr_da  # noqa: F401  (before mmocr: it declares what the installed torch lacks)

# isort: split
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from mmocr_da.registry import MODELS

HEIGHT, WIDTH = 16, 32


@pytest.fixture(autouse=True)
def _scope_and_seed():
    """Every test starts in MMOCR's scope, with the same random numbers and no old progress."""
    init_default_scope('mmocr')
    torch.manual_seed(0)
    MessageHub.get_current_instance().runtime_info.pop('iter', None)
    yield


@pytest.fixture
def progress():
    """Pretends that training has reached ``(iteration, total)``."""

    def set_progress(iteration, total):
        hub = MessageHub.get_current_instance()
        hub.update_info('iter', iteration)
        hub.update_info('max_iters', total)

    return set_progress


@pytest.fixture(scope='session')
def digits_dictionary(tmp_path_factory):
    path = tmp_path_factory.mktemp('dict') / 'digits.txt'
    path.write_text('\n'.join('0123456789'))
    return dict(type='Dictionary', dict_file=str(path), with_start=True, with_end=True,
                same_start_end=True, with_padding=True, with_unknown=True)


@pytest.fixture
def recognizer_cfg(digits_dictionary):
    """A tiny ASTER without rectification; 16 channels, at most 8 steps."""

    def make(decoder='ASTERDecoder', **kwargs):
        return dict(
            type='EncoderDecoderRecognizer',
            data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
            backbone=dict(
                type='ResNet', in_channels=1, stem_channels=[4],
                block_cfgs=dict(type='BasicBlock', use_conv1x1=False), arch_layers=[1] * 4,
                arch_channels=[8, 8, 8, 16], strides=[(2, 2), (2, 2), (2, 1), (2, 1)]),
            encoder=dict(type='ASTEREncoder', in_channels=16),
            decoder=dict(
                type=decoder, in_channels=16, emb_dims=12, attn_dims=12, hidden_size=12,
                max_seq_len=8, postprocessor=dict(type='AttentionPostprocessor'),
                module_loss=dict(type='CEModuleLoss', flatten=True, ignore_first_char=True,
                                 reduction='mean'),
                dictionary=digits_dictionary),
            **kwargs)

    return make


@pytest.fixture
def adaptive(recognizer_cfg):
    """Builds the tiny recognizer with objectives, in training mode."""

    def make(*objectives, **kwargs):
        decoder = kwargs.pop('decoder', 'ASTERDecoder')
        cfg = recognizer_cfg(decoder)
        if isinstance(decoder, dict):
            cfg['decoder'] = decoder
        cfg.update(type='mmocr_da.AdaptiveRecognizer', objectives=copy.deepcopy(objectives))
        cfg.update(kwargs)
        return MODELS.build(cfg).train()

    return make


@pytest.fixture
def sample():

    def make(text='', domain='source', valid_ratio=1.0):
        out = TextRecogDataSample(gt_text=LabelData(item=text))
        out.set_metainfo(dict(domain=domain, valid_ratio=valid_ratio, img_shape=(HEIGHT, WIDTH),
                              img_path=f'{domain}.png'))
        return out

    return make


@pytest.fixture
def batch(sample):
    """``batch(sources, targets)``: preprocessed images and samples, sources first."""

    def make(texts=('12', '345'), targets=2, dtype=torch.float32):
        samples = [sample(t) for t in texts] + [sample(domain='target') for _ in range(targets)]
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(len(samples), 1, HEIGHT, WIDTH, generator=generator, dtype=dtype)
        return dict(inputs=inputs, data_samples=samples)

    return make
