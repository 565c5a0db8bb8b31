"""Scenes of both domains for MMOCR's own detectors: its training data, and a folder without labels.

    _base_ = [
        'mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py',
        'mmocr_da::_base_/two_domain_scenes.py',
    ]
    train_dataloader = dict(
        **_base_.two_domain_loader,
        dataset=dict(
            **_base_.two_domain_dataset,
            source=_base_.icdar2015_textdet_train,
            target_pipeline=[
                *_base_.load_scene, *_base_.cut_scene, _base_.scene_jitter, _base_.pack_scene
            ],
        ),
    )

and the four lines of ``iterations.py``, which this includes. The target has a pipeline of its own:
MMOCR's choose a cut by its text, and drop images without. ``cut_scene`` is for detectors that are
trained on images of 640 pixels, ``cut_scene_736`` and ``cut_scene_800`` for others: the batch is as
large as its largest image. Another folder:
``--cfg-options train_dataloader.dataset.target.img_dir=FOLDER``.
"""

_base_ = './iterations.py'

two_domain_loader = dict(
    batch_size=16,  # 8 source + 8 target
    sampler=dict(_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=16),
)
two_domain_dataset = dict(
    _delete_=True,
    type='mmocr_da.TwoDomainDataset',
    target=dict(
        type='mmocr_da.UnlabelledDataset',
        img_dir='data/my_scenes',
        instances=(),  # a scene has boxes, and these have none
        pipeline=None,
    ),
)
load_scene = [dict(type='LoadImageFromFile', color_type='color_ignore_orientation')]
cut_scene, cut_scene_736, cut_scene_800 = (
    [
        dict(type='RandomResize', scale=(size, size), ratio_range=(1.0, 3.0), keep_ratio=True),
        dict(type='mmdet.RandomCrop', crop_size=(size, size), allow_negative_crop=True),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ]
    for size in (640, 736, 800)
)
scene_jitter = dict(
    type='TorchVisionWrapper', op='ColorJitter', brightness=32.0 / 255, saturation=0.5, contrast=0.5
)
pack_scene = dict(
    type='PackTextDetInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor')
)
# The teacher sees the scene, the student sees it with other colours, flipped and rotated: regions
# move as MMDetection's transforms record.
scene_views = dict(
    type='mmocr_da.WeakStrongViews',
    weak=[pack_scene],
    strong=[
        dict(type='mmdet.RandomFlip', prob=0.5),
        dict(type='mmdet.Rotate', prob=0.5, max_mag=10.0),
        scene_jitter,
        pack_scene,
    ],
)
scene_self_training = dict(type='mmocr_da.DetectorSelfTraining', threshold=0.7, ramp=2000)
# For DBNet, with the weight of its own loss of this map.
scene_map_self_training = dict(
    type='mmocr_da.DetectorMapSelfTraining', weight=5.0, threshold=0.8, ramp=2000
)
