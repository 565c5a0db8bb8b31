"""ASSDA's recognizer as published, trained on MJSynth and SynthText (Algorithm 1, line 1).

TPS, the ResNet of Table I, BiLSTM, attention of eq. 2 to 6. Tested on scene words (ICDAR 2013) and
on handwritten ones (IAM).
"""

_base_ = [
    './models/tps_resnet_bilstm_attention.py',
    'mmocr::textrecog/_base_/datasets/mjsynth.py',
    'mmocr::textrecog/_base_/datasets/synthtext.py',
    'mmocr::textrecog/_base_/datasets/icdar2013.py',
    './default_runtime.py',
]

train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(100, 32)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(100, 32)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]

iam = dict(type='OCRDataset', data_root='data/iam', pipeline=None)

# AdaDelta as in the released code.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adadelta', lr=1.0, rho=0.95, eps=1e-8),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = []
train_cfg = dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=300000, val_interval=300001)
default_hooks = dict(checkpoint=dict(interval=10000))

source_train = [_base_.mjsynth_textrecog_train, _base_.synthtext_textrecog_train]
train_dataloader = dict(
    batch_size=192,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='ConcatDataset', datasets=source_train, pipeline=train_pipeline),
)
auto_scale_lr = dict(base_batch_size=192)

# Nothing is validated meanwhile; tools/test.py tests on both sets.
val_evaluator = None
test_dataloader = dict(
    batch_size=256,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            _base_.icdar2013_textrecog_test,
            dict(iam, ann_file='textrecog_test.json', test_mode=True),
        ],
        pipeline=test_pipeline,
    ),
)
test_cfg = dict(type='TestLoop')
