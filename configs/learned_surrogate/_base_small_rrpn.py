"""A small rotated detector, trained and tested on the photos of a folder."""

_base_ = [
    '../_base_/datasets/text_detection.py',
    '../_base_/datasets/rotated_boxes.py',
    '../_base_/models/rrpn_small.py',
    '../_base_/schedules/adam_small.py',
    '../_base_/detection_runtime.py',
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=4),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=_base_.detection_train,
        pipeline=[
            _base_.load_photo,
            _base_.load_boxes,
            _base_.check_polygons,
            dict(
                type='RandomChoice',
                transforms=[
                    [dict(type='Resize', scale_factor=factor)] for factor in (0.7, 0.85, 1.0, 1.2)
                ],
            ),
            dict(type='RandomRotate', max_angle=15, use_canvas=True),
            dict(type='TextDetRandomCrop', target_size=(384, 384), positive_sample_ratio=0.9),
            _base_.jitter,
            *_base_.pack_boxes,
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={
        **_base_.detection_test,
        'pipeline': [
            _base_.load_test_photo,
            dict(type='Resize', scale_factor=1.0),
            _base_.load_boxes,
            _base_.check_polygons,
            _base_.pack_polygons,
        ],
    },
)
test_dataloader = val_dataloader

auto_scale_lr = dict(base_batch_size=4)
