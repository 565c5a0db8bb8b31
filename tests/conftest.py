"""Toys that several tests share: a tiny recognizer, samples, and a run that trains in seconds."""

import copy
import gc
import json
from pathlib import Path

import mmocr_da  # noqa: F401  (before mmocr: it declares what the installed torch lacks)

# isort: split
import cv2
import numpy as np
import pytest
import torch
from helpers import tools
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from mmocr_da.registry import MODELS

HEIGHT, WIDTH = 16, 32

# What keeps a test out of the fast tier: folders of whole programs; what trains the toy, builds a
# recognizer at its size or of each family or starts an interpreter, as a fixture of the test or a
# name in its module.
SLOWER_FOLDERS = [Path(__file__).parent / name for name in ('configs', 'tools')]
SLOWER_NAMES = {'run_tool', 'trained', 'mmocr_recognizer', 'noise', 'subprocess'}


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(items):
    """Mark as ``fast`` what has none of these."""
    for item in items:
        if not (
            any(folder in item.path.parents for folder in SLOWER_FOLDERS)
            or SLOWER_NAMES.intersection(getattr(item, 'fixturenames', ()))
            or SLOWER_NAMES.intersection(dir(getattr(item, 'module', None)))
            or item.get_closest_marker('slow')
        ):
            item.add_marker('fast')


def pytest_collection_finish():
    """What is imported by now stays: nothing need look through it for garbage, as MMEngine does
    whenever it builds a dataset."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _scope_and_seed():
    """Every test starts in the same scope, with the same random numbers, threads and progress."""
    init_default_scope('mmocr')
    torch.manual_seed(0)
    MessageHub.get_current_instance().runtime_info.pop('iter', None)
    threads = torch.get_num_threads()
    yield
    # Benchmarks choose a number; with another one, a training ends with other last bits.
    torch.set_num_threads(threads)


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
    return dict(
        type='Dictionary',
        dict_file=str(path),
        with_start=True,
        with_end=True,
        same_start_end=True,
        with_padding=True,
        with_unknown=True,
    )


@pytest.fixture(scope='session')
def bfloat16_works():
    """Tell if this CPU computes a model in bfloat16: oneDNN has no such LSTM without AVX-512."""
    try:
        with torch.autocast('cpu', torch.bfloat16):
            torch.nn.LSTM(2, 2)(torch.zeros(1, 1, 2))
        lstm = True
    except RuntimeError as error:
        if 'could not create a primitive' not in str(error):
            raise
        lstm = False
    return lambda model: lstm or not any(isinstance(m, torch.nn.LSTM) for m in model.modules())


@pytest.fixture
def recognizer_cfg(digits_dictionary):
    """A tiny ASTER without rectification; 16 channels, at most 8 steps."""

    def make(decoder='ASTERDecoder', **kwargs):
        return dict(
            type='EncoderDecoderRecognizer',
            data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
            backbone=dict(
                type='ResNet',
                in_channels=1,
                # With fewer than 8, a 1x1 convolution of stride 2 in channels_last corrupts memory:
                # oneDNN 3 of torch 2.13, backward, on CPUs with AVX2 and without AVX-512.
                stem_channels=[8],
                block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
                arch_layers=[1] * 4,
                arch_channels=[8, 8, 8, 16],
                strides=[(2, 2), (2, 2), (2, 1), (2, 1)],
            ),
            encoder=dict(type='ASTEREncoder', in_channels=16),
            decoder=dict(
                type=decoder,
                in_channels=16,
                emb_dims=12,
                attn_dims=12,
                hidden_size=12,
                max_seq_len=8,
                postprocessor=dict(type='AttentionPostprocessor'),
                module_loss=dict(
                    type='CEModuleLoss', flatten=True, ignore_first_char=True, reduction='mean'
                ),
                dictionary=digits_dictionary,
            ),
            **kwargs,
        )

    return make


@pytest.fixture
def crnn(digits_dictionary):
    """A CTC decoder for the features of the tiny recognizer; set ``encoder=None``."""
    return dict(
        type='CRNNDecoder',
        in_channels=16,
        module_loss=dict(type='CTCModuleLoss', letter_case='lower'),
        postprocessor=dict(type='CTCPostProcessor'),
        dictionary=dict(digits_dictionary, with_start=False, with_end=False, same_start_end=False),
    )


@pytest.fixture
def mmocr_recognizer(tmp_path):
    """Config of the model in ``mmocr::textrecog/<name>.py``, at its size, but with few steps where
    a decoder loops over them: its cost grows with the square of their number."""

    def make(name):
        path = tmp_path / 'mmocr_recognizer.py'
        path.write_text(f"_base_ = 'mmocr::textrecog/{name}.py'\n")
        model = Config.fromfile(path).model
        if model.decoder.type.startswith(('ASTER', 'NRTR', 'Master', 'Parallel', 'Sequential')):
            model.decoder.max_seq_len = 8
        return model

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
        out.set_metainfo(
            dict(
                domain=domain,
                valid_ratio=valid_ratio,
                img_shape=(HEIGHT, WIDTH),
                img_path=f'{domain}.png',
            )
        )
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


WORDS = ('12', '345', '6', '77', '890', '21')

CONFIG = """
default_scope = 'mmocr'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    objectives=[dict(type='mmocr_da.GlobalAlignment', in_channels=16),
                dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.)],
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    backbone=dict(
        type='ResNet', in_channels=1, stem_channels=[4],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False), arch_layers=[1] * 4,
        arch_channels=[8, 8, 8, 16], strides=[(2, 2), (2, 2), (2, 1), (2, 1)]),
    encoder=dict(type='ASTEREncoder', in_channels=16),
    decoder=dict(
        type='ASTERDecoder', in_channels=16, emb_dims=12, attn_dims=12, hidden_size=12,
        max_seq_len=8, postprocessor=dict(type='AttentionPostprocessor'),
        module_loss=dict(type='CEModuleLoss', flatten=True, ignore_first_char=True,
                         reduction='mean'),
        dictionary=dict(
            type='Dictionary', dict_file='{{{{ fileDirname }}}}/digits.txt', with_start=True,
            with_end=True, same_start_end=True, with_padding=True, with_unknown=True)))
meta_keys = ('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(32, 16), keep_ratio=False),
    dict(type='PackTextRecogInputs', meta_keys=meta_keys)]
test_pipeline = train_pipeline
source = dict(type='OCRDataset', data_root='{root}', ann_file='source.json', pipeline=None)
target = dict(type='OCRDataset', data_root='{root}', ann_file='target.json', pipeline=None)
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=4),
    dataset=dict(type='mmocr_da.TwoDomainDataset', source=source, target=target,
                 pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=[source, target], pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='MultiDatasetsEvaluator', metrics=[dict(type='mmocr_da.TextErrorMetric')],
    dataset_prefixes=['source', 'target'])
test_evaluator = val_evaluator
train_cfg = dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False, max_keep_ckpts=2),
    visualization=dict(type='VisualizationHook', enable=False))
log_processor = dict(type='LogProcessor', by_epoch=False)
visualizer = dict(
    type='TextRecogLocalVisualizer', name='visualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
randomness = dict(seed=1)
"""


@pytest.fixture(scope='session')
def load_tool():
    return tools.load_tool


@pytest.fixture(scope='session')
def run_tool():
    return tools.run_tool


@pytest.fixture(scope='session')
def toy(tmp_path_factory):
    """The config of the toy: 6 images per domain, one word each, the target darker."""
    root = tmp_path_factory.mktemp('toy')
    rng = np.random.default_rng(0)
    for domain, gain in (('source', 255), ('target', 90)):
        data_list = []
        for i, word in enumerate(WORDS):
            img_path = f'{domain}_{i}.png'
            cv2.imwrite(str(root / img_path), (gain * rng.random((16, 32, 3))).astype(np.uint8))
            data_list.append(dict(img_path=img_path, instances=[dict(text=word)]))
        metainfo = dict(dataset_type='TextRecogDataset', task_name='textrecog')
        (root / f'{domain}.json').write_text(
            json.dumps(dict(metainfo=metainfo, data_list=data_list))
        )
    (root / 'digits.txt').write_text('\n'.join('0123456789'))
    config = root / 'toy.py'
    config.write_text(CONFIG.format(root=root))
    return config


@pytest.fixture(scope='session')
def toy_lmdb(toy, tmp_path_factory):
    """The target of the toy as an LMDB in MMOCR's format."""
    import lmdb

    path = tmp_path_factory.mktemp('lmdb') / 'target'
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        for i, word in enumerate(WORDS):
            image = (toy.parent / f'target_{i}.png').read_bytes()
            transaction.put(f'image-{i + 1:09d}'.encode(), image)
            transaction.put(f'label-{i + 1:09d}'.encode(), word.encode())
        transaction.put(b'num-samples', str(len(WORDS)).encode())
    return path


@pytest.fixture(scope='session')
def trained(toy, tmp_path_factory):
    """The work directory of the toy after its 2 iterations."""
    init_default_scope('mmocr')
    work_dir = tmp_path_factory.mktemp('trained')
    tools.run_tool('train', toy, '--work-dir', work_dir)
    return work_dir
