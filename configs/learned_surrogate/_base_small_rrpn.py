"""A small rotated detector, trained and tested on the photos of a folder."""
_base_ = [
    '../_base_/datasets/text_detection.py', '../_base_/models/rrpn_small.py',
    '../_base_/schedules/adam_small.py', '../_base_/detection_runtime.py'
]

load_boxes = dict(type='LoadOCRAnnotations', with_polygon=True, with_bbox=True, with_label=True)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=4),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=_base_.detection_train,
        pipeline=[
            dict(
                type='LoadImageFromFile',
                color_type='color_ignore_orientation',
                ignore_empty=True,
                min_size=2),
            load_boxes,
            dict(
                type='RandomChoice',
                transforms=[[dict(type='Resize', scale_factor=factor)]
                            for factor in (0.7, 0.85, 1.0, 1.2)]),
            dict(type='RandomRotate', max_angle=15, use_canvas=True),
            dict(type='TextDetRandomCrop', target_size=(384, 384),
                 positive_sample_ratio=0.9),
            dict(
                type='TorchVisionWrapper',
                op='ColorJitter',
                brightness=32.0 / 255,
                saturation=0.5,
                contrast=0.5),
            dict(type='mmocr_da.PolygonsToRotatedBoxes', min_size=2),
            dict(
                type='mmdet.PackDetInputs',
                meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={
        **_base_.detection_test, 'pipeline': [
            dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
            dict(type='Resize', scale_factor=1.0), load_boxes,
            dict(
                type='PackTextDetInputs',
                meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        ]
    })
test_dataloader = val_dataloader

auto_scale_lr = dict(base_batch_size=4)
