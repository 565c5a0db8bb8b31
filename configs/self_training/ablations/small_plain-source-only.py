"""What the recipe adds to the start: images as they are, neither standardized nor augmented."""

_base_ = '../small/small_augmented-source-only.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

_load, _label, _resize, _standardize, _pack = _base_.clean_pipeline
_plain = [_load, _label, _resize, _pack]
train_dataloader = dict(dataset=dict(pipeline=_plain))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=_plain))
