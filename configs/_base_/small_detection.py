"""Adaptation of a small detector on a CPU: DBNet with a narrow ResNet-18, on cuts of scenes.

The option MMOCR_DA_DATA chooses the data (configs/README.md):

* ``drawn`` (default): drawn scenes in colour to drawn pages. Data: tools/dataset_converters/
  rotated_scenes.py, with and without ``--style pages``.
* ``scenes``: images of the folder data/source_scenes to those of data/target_scenes. Both have
  instances_train.json and instances_test.json in MMOCR's format, whose paths are relative to the
  folder; the labels of the target's instances_train.json are dropped. The options MMOCR_DA_SOURCE
  and MMOCR_DA_TARGET name other folders.

Every adaptation starts from the detector that detection/small/small_detection-source-only.py
trains. The test sets are those of both domains, source first; a region counts from a score of 0.5,
which is not chosen by labels.
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
    neck=dict(in_channels=[16, 32, 64, 128], lateral_channels=64, out_channels=16),
    det_head=dict(in_channels=64),
)
alignment = dict(type='mmocr_da.ImageAlignment', in_channels=64, weight=0.1, schedule='rising')
self_training = dict(type='mmocr_da.DetectorSelfTraining', threshold=0.7, decay=0.99, ramp=40)

size = (320, 320)
# Cuts of several sizes, resized to one. DBNet's labels need the kind of numbers that Resize makes.
_cuts = ((160, 160), (240, 240), (320, 320), (448, 448))
_fit = [dict(type='Resize', scale=size, keep_ratio=True), dict(type='Pad', size=size)]
_rotate = dict(type='RandomRotate', max_angle=10, use_canvas=True)
train_pipeline = [
    _base_.load_photo,
    _base_.load_boxes,
    _base_.check_polygons,
    _rotate,
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
    _rotate,
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
    dict(type='Resize', scale=(1280, 1280), keep_ratio=True),
    _base_.load_boxes,
    _base_.pack_polygons,
]

source_iters, max_iters = 600, 250
load_from = f'work_dirs/small_detection-source-only_{data}/iter_{source_iters}.pth'
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3), clip_grad=dict(max_norm=5.0)
)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[max_iters * 7 // 10], gamma=0.1)
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=max_iters // 5))
auto_scale_lr = dict(base_batch_size=16)

train_dataloader = dict(
    batch_size=16,  # 8 source + 8 target
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=16, ratio=(1, 1)),
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
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=8),
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
