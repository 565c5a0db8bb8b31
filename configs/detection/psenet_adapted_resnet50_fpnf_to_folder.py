"""Alignment and self-training of PSENet: scenes of ICDAR 2015 to a folder without labels."""

_base_ = [
    'mmocr::textdet/psenet/psenet_resnet50_fpnf_600e_icdar2015.py',
    '../_base_/two_domain_scenes.py',
]

# MMOCR's released weights, or your own: load_from = 'psenet_resnet50_fpnf_600e_icdar2015.pth'
model = dict(
    type='mmocr_da.AdaptiveTextDetector',
    of='PSENet',
    objectives=[
        dict(type='mmocr_da.ImageAlignment', in_channels=256),
        _base_.scene_self_training,
    ],
)
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset,
        source=_base_.icdar2015_textdet_train,
        target_pipeline=[*_base_.load_scene, *_base_.cut_scene_736, _base_.scene_views],
    ),
)
auto_scale_lr = dict(base_batch_size=16)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
