"""SymNet as published, with confusion instead of a reversed gradient, on augmented images."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(type='mmocr_da.SymNetHead', weight=_base_.objective_weight)])
# C^t learns as fast as C^s.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))
