"""What the source is learned from: trained on drawn scenes, whatever the source is."""

_base_ = '../../_base_/small_detection.py'

iters = _base_.pretraining_iters
load_from = None
optim_wrapper = dict(optimizer=dict(lr=3e-3))
train_cfg = dict(max_iters=iters, val_interval=iters)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], T_max=iters)]
train_dataloader = dict(
    _base_.source_dataloader,
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=[dict(_base_.source_train, data_root='data/rotated_scenes')],
        pipeline=_base_.train_pipeline,
    ),
)
auto_scale_lr = dict(base_batch_size=_base_.batch_size)
