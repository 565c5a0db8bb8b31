"""Alignment and self-training of RRPN: scenes of ICDAR 2015 to a folder without labels."""

_base_ = '../_base_/rrpn_icdar.py'

# Your own weights: load_from = 'work_dirs/rrpn_resnet50_fpn_icdar/iter_140000.pth'
model = dict(
    type='mmocr_da.AdaptiveTextDetector',
    of='mmocr_da.RotatedMMDetWrapper',
    objectives=[
        *(dict(type='mmocr_da.ImageAlignment', level=level, in_channels=256) for level in range(5)),
        dict(type='mmocr_da.DetectorSelfTraining', threshold=0.7, ramp=2000),
    ],
)
max_iters = 20000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
param_scheduler = []
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))

pack = _base_.pack_polygons
train_dataloader = dict(
    batch_size=4,  # 2 source + 2 target
    sampler=dict(_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=4),
    dataset=dict(
        _delete_=True,
        type='mmocr_da.TwoDomainDataset',
        source=dict(_base_.icdar2015_textdet_train, pipeline=_base_.train_pipeline),
        target=dict(
            type='mmocr_da.UnlabelledDataset',
            img_dir='data/my_scenes',
            instances=(),  # a scene has boxes, and these have none
            pipeline=None,
        ),
        # As in two_domain_scenes.py: a cut that does not ask for text, and two views of it.
        target_pipeline=[
            _base_.load_photo,
            dict(type='RandomResize', scale=(640, 640), ratio_range=(1.0, 3.0), keep_ratio=True),
            dict(type='mmdet.RandomCrop', crop_size=(640, 640), allow_negative_crop=True),
            dict(
                type='mmocr_da.WeakStrongViews',
                weak=[pack],
                strong=[dict(type='mmdet.RandomFlip', prob=0.5), _base_.jitter, pack],
            ),
        ],
    ),
)
auto_scale_lr = dict(base_batch_size=4)
