"""The student learns the images that the teacher sees, which are not augmented."""

_base_ = '../small/small_self-training.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_dataloader = dict(dataset=dict(target_pipeline=_base_.clean_pipeline))
