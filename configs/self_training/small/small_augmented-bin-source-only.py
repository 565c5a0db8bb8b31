"""Trained on augmented, standardized source images with batch-instance norm."""

_base_ = ['../../_base_/small_augmented.py', '../../_base_/gates.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = None
train_cfg = dict(max_iters=_base_.source_iters, val_interval=_base_.source_iters // 2)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[_base_.source_iters * 7 // 10], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=_base_.source_iters // 2))
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=64)
model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
optim_wrapper = dict(_base_.gates, paramwise_cfg=dict(_delete_=True))  # there is no adversary
