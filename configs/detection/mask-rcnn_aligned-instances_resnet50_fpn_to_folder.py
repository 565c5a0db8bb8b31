"""Alignment of images and instances of MMOCR's Mask R-CNN: ICDAR 2015 to a folder of images."""

_base_ = [
    'mmocr::textdet/maskrcnn/mask-rcnn_resnet50_fpn_160e_icdar2015.py',
    '../_base_/two_domain_scenes.py',
]

# MMOCR's released weights, or your own: load_from = 'mask-rcnn_resnet50_fpn_160e_icdar2015.pth'
model = dict(
    type='mmocr_da.AdaptiveTextDetector',
    of='MMDetWrapper',
    objectives=[
        *(dict(type='mmocr_da.ImageAlignment', level=level, in_channels=256) for level in range(5)),
        dict(type='mmocr_da.InstanceAlignment', in_channels=1024),
        dict(type='mmocr_da.DomainConsistency'),
    ],
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset,
        source=_base_.icdar2015_textdet_train,
        target_pipeline=[
            *_base_.load_scene,
            *_base_.cut_scene,
            _base_.scene_jitter,
            _base_.train_pipeline[-1],
        ],
    ),
)
auto_scale_lr = dict(base_batch_size=16)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
