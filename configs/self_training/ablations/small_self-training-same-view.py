"""The student learns the images that the teacher sees, which are not augmented."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[_base_.self_training])
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
train_dataloader = dict(dataset=dict(target_pipeline=_base_.clean_pipeline))
