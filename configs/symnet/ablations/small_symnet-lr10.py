"""SymNet with the classifiers' learning rate of section 4.1: ten times that of the features."""

_base_ = '../small/small_symnet.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={_base_.classifier: dict(lr_mult=10.0), 'objectives': dict(lr_mult=10.0)}
    )
)
