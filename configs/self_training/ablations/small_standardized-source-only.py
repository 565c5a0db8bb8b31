"""What the recipe adds to the start: standardized images that are not augmented."""

_base_ = '../small/small_augmented-source-only.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_dataloader = dict(dataset=dict(pipeline=_base_.clean_pipeline))
