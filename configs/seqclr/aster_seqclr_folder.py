"""SeqCLR on MMOCR's ASTER: its encoder, pre-trained on a folder of images without labels."""

_base_ = ['mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py', '../_base_/pretraining.py']

model = dict(type='mmocr_da.SeqCLR')
train_dataloader = dict(
    **_base_.pretraining_loader,
    dataset=dict(
        **_base_.pretraining_dataset,
        pipeline=[_base_.load_image, dict(type='Resize', scale=(256, 64)), _base_.two_views],
    ),
)
auto_scale_lr = dict(base_batch_size=256)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
custom_hooks = _base_.pretraining_hooks
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
