"""Self-training with SymNet, by a reversed gradient, beside it."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    objectives=[
        _base_.self_training,
        dict(type='mmocr_da.SymNetHead', weight=_base_.objective_weight, confusion='reversal'),
    ]
)
# C^t learns as fast as C^s.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
