"""Self-training on the target alone: a checkpoint, and no source data."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(supervised_weight=0, objectives=[_base_.self_training, dict(type='mmocr_da.L2SP')])
custom_hooks = [dict(type='mmocr_da.AdaBNHook', keep=False)]
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
train_dataloader = dict(
    batch_size=64,
    sampler=dict(batch_size=64, ratio=(0, 1)),
    dataset=dict(source=None, pipeline=None, target_pipeline=_base_.views_pipeline),
)
auto_scale_lr = dict(base_batch_size=64)
