"""The recognizer is its own teacher, without a moving average."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(_base_.self_training, decay=0)])
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
