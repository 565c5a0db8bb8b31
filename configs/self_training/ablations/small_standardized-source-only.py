"""What the recipe adds to the start: standardized images that are not augmented."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = None
train_cfg = dict(max_iters=_base_.source_iters, val_interval=_base_.source_iters // 2)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[_base_.source_iters * 7 // 10], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=_base_.source_iters // 2))
auto_scale_lr = dict(base_batch_size=64)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
train_dataloader = dict(
    _base_.source_dataloader, dataset=dict(_base_.source_train, pipeline=_base_.clean_pipeline)
)
