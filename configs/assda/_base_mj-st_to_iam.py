"""MJSynth and SynthText as source, a folder of handwritten words as target; 128 + 128 a step."""

_base_ = [
    'mmocr::textrecog/_base_/datasets/mjsynth.py',
    'mmocr::textrecog/_base_/datasets/synthtext.py',
    'mmocr::textrecog/_base_/datasets/icdar2013.py',
    '../_base_/default_runtime.py',
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

# The released code's recipe: AdaDelta, 0.1 for the recognizer and 1 for the discriminators.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adadelta', lr=0.1, rho=0.95, eps=1e-8),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=10.0)}),
)
param_scheduler = []
train_cfg = dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=300000, val_interval=300001)
default_hooks = dict(checkpoint=dict(interval=10000))

train_dataloader = dict(
    batch_size=256,  # 128 source + 128 target, of one GPU
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=256, ratio=(1, 1)),
    dataset=dict(
        type='mmocr_da.TwoDomainDataset',
        source=[_base_.mjsynth_textrecog_train, _base_.synthtext_textrecog_train],
        target=dict(type='mmocr_da.UnlabelledDataset', img_dir='data/iam_words', pipeline=None),
        pipeline=train_pipeline,
    ),
)
auto_scale_lr = dict(base_batch_size=256)

# No labels of the target are needed to train, so nothing is validated meanwhile; tools/test.py
# reads a source-like test set and a labelled test set of the target.
iam_textrecog_test = dict(
    type='OCRDataset',
    data_root='data/iam',
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)
val_evaluator = None
test_dataloader = dict(
    batch_size=256,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[_base_.icdar2013_textrecog_test, iam_textrecog_test],
        pipeline=test_pipeline,
    ),
)
test_cfg = dict(type='TestLoop')
