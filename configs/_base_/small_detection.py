"""Adaptation of a small detector on a CPU: DBNet with a narrow ResNet-18, on cuts of scenes.

The option MMOCR_DA_DATA chooses the data (configs/README.md):

* ``drawn`` (default): drawn scenes in colour to drawn pages. Data: tools/dataset_converters/
  rotated_scenes.py, with and without ``--style pages``.
* ``scenes``: images of the folder data/source_scenes to those of data/target_scenes. Both have
  instances_train.json and instances_test.json in MMOCR's format, whose paths are relative to the
  folder; the labels of the target's instances_train.json are dropped. The options MMOCR_DA_SOURCE
  and MMOCR_DA_TARGET name other folders.

All start from the detector that detection/small/small_detection-pretrained.py trains on drawn
scenes, as detectors of text usually start from synthetic ones. The source is learned from there by
small_detection-source-only.py, and every adaptation starts from its end. The test sets are those of
both domains, source first. Images are tested in their own size: shrink them before, until most text
is 12 to 40 pixels high. A region counts from a score of 0.5, which is not chosen by labels.
"""

_base_ = ['mmocr::textdet/dbnet/_base_dbnet_resnet18_fpnc.py', './detection.py']

data = '{{$MMOCR_DA_DATA:drawn}}'
if data == 'drawn':
    _source, _target = 'data/rotated_scenes', 'data/drawn_pages'
elif data == 'scenes':
    _source = '{{$MMOCR_DA_SOURCE:data/source_scenes}}'
    _target = '{{$MMOCR_DA_TARGET:data/target_scenes}}'
else:
    raise ValueError(f"MMOCR_DA_DATA must be 'drawn' or 'scenes' here, got {data!r}")
source_train, source_test, target_labelled, target_test = (
    dict(type='OCRDataset', data_root=root, ann_file=file, test_mode=test, pipeline=None)
    for root in (_source, _target)
    for file, test in (('instances_train.json', False), ('instances_test.json', True))
)

model = dict(
    type='mmocr_da.AdaptiveTextDetector',  # without objectives a plain detector
    of='DBNet',
    backbone=dict(base_channels=16, style='pytorch', init_cfg=None),
    neck=dict(in_channels=[16, 32, 64, 128], lateral_channels=32, out_channels=8),
    det_head=dict(
        in_channels=32,
        # All background counts. With MMOCR's three hardest pixels for each of text, the map of a
        # detector from scratch becomes constant, as any contrast is wrong where it is hardest.
        module_loss=dict(
            loss_prob=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, class_weight=[4.0]),
            weight_prob=20.0,
            weight_thr=1.0,
        ),
    ),
)
alignment = dict(type='mmocr_da.ImageAlignment', in_channels=32, weight=0.1, schedule='rising')
# Labels from the score at which a region counts, and of the start: DBNet grows each region that it
# predicts, and a teacher that followed the student joined lines until one covered the image.
self_training = dict(
    type='mmocr_da.DetectorSelfTraining',
    weight=0.5,
    threshold=0.5,
    decay=1,
    predict_with='student',
    ramp=25,
)
# Batch norms as they are at the start, not with statistics of both domains together.
frozen_norms = dict(
    type='mmocr_da.FreezeHook',
    modules=[
        'backbone.bn1',
        'backbone.layer?.?.bn?',
        'backbone.layer?.?.downsample.1',
        'det_head.*.[14]',
    ],
)

size = (256, 256)
# Cuts of several sizes, rotated and resized to one. DBNet's labels need the kind of numbers that
# Resize makes. To rotate a whole photo would take half of the time of loading.
_cuts = ((160, 160), (224, 224), (288, 288), (384, 384))
_fit = [
    dict(type='RandomRotate', max_angle=10, use_canvas=True),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='Pad', size=size),
]
train_pipeline = [
    _base_.load_photo,
    _base_.load_boxes,
    _base_.check_polygons,
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='TextDetRandomCrop', target_size=cut, positive_sample_ratio=0.9)]
            for cut in _cuts
        ],
    ),
    *_fit,
    _base_.jitter,
    _base_.pack_polygons,
]
# A cut that does not ask for text.
target_cut = [
    _base_.load_photo,
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='mmdet.RandomCrop', crop_size=cut, allow_negative_crop=True)]
            for cut in _cuts
        ],
    ),
    *_fit,
]
target_pipeline = [*target_cut, _base_.jitter, _base_.pack_polygons]
views_pipeline = [
    *target_cut,
    dict(
        type='mmocr_da.WeakStrongViews',
        weak=[_base_.pack_polygons],
        strong=[
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdet.Rotate', prob=0.5, max_mag=10.0),
            _base_.jitter,
            _base_.pack_polygons,
        ],
    ),
]
# Of MMOCR alone, for an export.
test_pipeline = [
    _base_.load_test_photo,
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    _base_.load_boxes,
    _base_.pack_polygons,
]

batch_size = 4
pretraining_iters, source_iters, max_iters = 700, 300, 150
load_from = f'work_dirs/small_detection-source-only_{data}/iter_{source_iters}.pth'
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3), clip_grad=dict(max_norm=5.0)
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters),
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=max_iters // 5))
auto_scale_lr = dict(base_batch_size=2 * batch_size)

train_dataloader = dict(
    batch_size=2 * batch_size,  # source + target
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=2 * batch_size, ratio=(1, 1)),
    dataset=dict(
        type='mmocr_da.TwoDomainDataset',
        source=source_train,
        target=dict(type='mmocr_da.UnlabelledDataset', dataset=target_labelled, pipeline=None),
        pipeline=train_pipeline,
        target_pipeline=target_pipeline,
    ),
)
# The source alone, for what adaptation starts from and is compared with.
source_dataloader = dict(
    _delete_=True,
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=batch_size),
    dataset=dict(type='mmocr_da.SeededDataset', datasets=[source_train], pipeline=train_pipeline),
)
# Source first, then target: the order of the evaluator's dataset_prefixes.
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=[source_test, target_test], pipeline=test_pipeline),
)
test_dataloader = val_dataloader
metric = dict(type='HmeanIOUMetric', pred_score_thrs=dict(start=0.5, stop=0.55, step=0.1))
val_evaluator = dict(
    _delete_=True,
    type='MultiDatasetsEvaluator',
    metrics=[metric],
    dataset_prefixes=['source', 'target'],
)
test_evaluator = val_evaluator
