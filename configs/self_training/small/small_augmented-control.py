"""What self-training is compared with: as many further steps on the source alone."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=64)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
