"""Alignment and self-training by pixels of DBNet++: ICDAR 2015 to a folder without labels."""

_base_ = [
    'mmocr::textdet/dbnetpp/dbnetpp_resnet50_fpnc_1200e_icdar2015.py',
    '../_base_/two_domain_scenes.py',
]

# MMOCR's released weights, or your own: load_from = 'dbnetpp_resnet50_fpnc_1200e_icdar2015.pth'
model = dict(
    type='mmocr_da.AdaptiveTextDetector',
    of='DBNet',
    objectives=[
        dict(type='mmocr_da.ImageAlignment', in_channels=256),
        _base_.scene_map_self_training,
    ],
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset,
        source=dict(_base_.icdar2015_textdet_train, pipeline=_base_.train_pipeline),
        target_pipeline=[*_base_.load_scene, *_base_.cut_scene, _base_.scene_views],
    ),
)
auto_scale_lr = dict(base_batch_size=16)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
