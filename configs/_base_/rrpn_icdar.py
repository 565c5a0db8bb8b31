"""RRPN at full size on ICDAR 2015 and 2017 (MLT), as in the paper: SGD, 140k images one by one."""

_base_ = [
    'mmocr::textdet/_base_/datasets/icdar2015.py',
    'mmocr::textdet/_base_/datasets/icdar2017.py',
    './models/rrpn_resnet50_fpn.py',
    './detection.py',
]

max_iters = 140000
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 14
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=35.0),
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=500),
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[50000, 100000]),
]
default_hooks = dict(checkpoint=dict(interval=10000))

train_pipeline = [
    _base_.load_photo,
    _base_.load_boxes,
    _base_.check_polygons,
    _base_.jitter,
    dict(type='RandomResize', scale=(640, 640), ratio_range=(1.0, 4.125), keep_ratio=True),
    dict(type='RandomRotate', max_angle=180, use_canvas=True),
    dict(type='TextDetRandomCrop', target_size=(640, 640)),
    *_base_.pack_boxes,
]
test_pipeline = [
    _base_.load_test_photo,
    dict(type='Resize', scale=(1920, 1920), keep_ratio=True),
    _base_.load_boxes,
    _base_.check_polygons,
    _base_.pack_polygons,
]

auto_scale_lr = dict(base_batch_size=1)
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=1),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=[_base_.icdar2015_textdet_train, _base_.icdar2017_textdet_train],
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**_base_.icdar2015_textdet_test, 'pipeline': test_pipeline},
)
test_dataloader = val_dataloader
