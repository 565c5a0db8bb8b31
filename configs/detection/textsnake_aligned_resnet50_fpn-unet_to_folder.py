"""Alignment of MMOCR's TextSnake: scenes of CTW1500 to a folder without labels."""

_base_ = [
    'mmocr::textdet/textsnake/textsnake_resnet50_fpn-unet_1200e_ctw1500.py',
    '../_base_/two_domain_scenes.py',
]

# MMOCR's released weights, or your own: load_from = 'textsnake_resnet50_fpn-unet_1200e_ctw1500.pth'
model = dict(
    type='mmocr_da.AdaptiveTextDetector',
    of='TextSnake',
    objectives=[
        dict(type='mmocr_da.ImageAlignment', in_channels=32),
    ],
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset,
        source=_base_.ctw1500_textdet_train,
        target_pipeline=[
            *_base_.load_scene,
            *_base_.cut_scene_800,
            _base_.scene_jitter,
            _base_.pack_scene,
        ],
    ),
)
auto_scale_lr = dict(base_batch_size=16)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
