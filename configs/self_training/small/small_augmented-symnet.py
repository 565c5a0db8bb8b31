"""SymNet with a reversed gradient on augmented source images, without self-training."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    objectives=[
        dict(type='mmocr_da.SymNetHead', weight=_base_.objective_weight, confusion='reversal')
    ]
)
# C^t learns as fast as C^s.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))
