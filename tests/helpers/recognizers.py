"""Plain recognizers of MMOCR, as tiny as possible, with their checkpoint and their data on disk."""

import json

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmocr_da.registry import MODELS

WORDS = ('12', '345', '6', '77', '890', '21', '4', '30', '99', '5', '618', '70')
DECODERS = dict(
    attention="""dict(
        type='ASTERDecoder', in_channels=16, emb_dims=12, attn_dims=12, hidden_size=12,
        max_seq_len=8, postprocessor=dict(type='AttentionPostprocessor'),
        module_loss=dict(type='CEModuleLoss', flatten=True, ignore_first_char=True,
                         reduction='mean'),
        dictionary=dict(
            type='Dictionary', dict_file='{{ fileDirname }}/digits.txt', with_start=True,
            with_end=True, same_start_end=True, with_padding=True, with_unknown=True))""",
    ctc="""dict(
        type='CRNNDecoder', in_channels=16, rnn_flag=False,
        module_loss=dict(type='CTCModuleLoss'), postprocessor=dict(type='CTCPostProcessor'),
        dictionary=dict(
            type='Dictionary', dict_file='{{ fileDirname }}/digits.txt', with_padding=True))""",
)
CONFIG = """
default_scope = 'mmocr'
model = dict(
    type='{type}',
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    backbone=dict(
        type='ResNet', in_channels=1, stem_channels=[4],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False), arch_layers=[1] * 4,
        arch_channels=[8, 8, 8, 16], strides=[(2, 2), (2, 2), (2, 1), (2, 1)]),
    encoder={encoder},
    decoder={decoder})
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='RandomApply', prob=0.5, transforms=[dict(type='ReversePixels')]),
    dict(type='Resize', scale=(32, 16), keep_ratio=False),
    dict(type='PackTextRecogInputs', meta_keys=('img_path', 'img_shape', 'valid_ratio'))]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='Resize', scale=(32, 16), keep_ratio=False),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='PackTextRecogInputs', meta_keys=('img_path', 'img_shape', 'valid_ratio'))]
train_list = [dict(type='OCRDataset', data_root='{root}', ann_file='labels.json', pipeline=None)]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ConcatDataset', datasets=train_list, pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=train_list, pipeline=test_pipeline))
val_dataloader = test_dataloader
val_evaluator = dict(type='MultiDatasetsEvaluator', metrics=[dict(type='WordMetric')],
                     dataset_prefixes=['toy'])
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='{optimizer}', lr={lr}))
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
default_hooks = dict(
    timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=1),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='toy/recog/word_acc',
                    rule='greater'),
    visualization=dict(type='VisualizationHook', enable=False))
log_processor = dict(type='LogProcessor', by_epoch=True)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='TextRecogLocalVisualizer', name='visualizer', vis_backends=vis_backends)
"""


def make_recognizer(root, decoder='attention', optimizer='AdamW', lr=1e-3, **changes):
    """Write ``tiny.py``, ``tiny.pth``, labelled images and, in ``target``, unlabelled ones."""
    (root / 'digits.txt').write_text('\n'.join('0123456789'))
    text = CONFIG.replace('{root}', str(root)).replace('{optimizer}', optimizer)
    text = text.replace('{lr}', str(lr)).replace('{decoder}', DECODERS[decoder])
    encoder = 'None' if decoder == 'ctc' else "dict(type='ASTEREncoder', in_channels=16)"
    text = text.replace('{encoder}', encoder)
    text = text.replace('{type}', 'CRNN' if decoder == 'ctc' else 'EncoderDecoderRecognizer')
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (root / 'tiny.py').write_text(text)
    init_default_scope('mmocr')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(root / 'tiny.py').model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'tiny.pth')
    draw_words(root / 'source', WORDS)
    draw_words(root / 'target' / 'deep' / 'er', WORDS, ink=200, paper=90)
    data_list = [
        dict(img_path=f'source/{i}.png', instances=[dict(text=word)])
        for i, word in enumerate(WORDS)
    ]
    metainfo = dict(dataset_type='TextRecogDataset', task_name='textrecog')
    (root / 'labels.json').write_text(json.dumps(dict(metainfo=metainfo, data_list=data_list)))
    rows = [f'source/{i}.png\t{word}\n' for i, word in enumerate(WORDS)]
    (root / 'labels.tsv').write_text(''.join(rows))
    return root


def draw_words(folder, words, ink=0, paper=255):
    """Write an image of each word, ``0.png`` and so on."""
    folder.mkdir(parents=True)
    for i, word in enumerate(words):
        image = np.full((24, 20 * len(word) + 8, 3), paper, np.uint8)
        cv2.putText(image, word, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (ink,) * 3, 2)
        cv2.imwrite(str(folder / f'{i}.png'), image)
