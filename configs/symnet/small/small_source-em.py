"""The source alone, plus entropy minimization on the target."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_cfg = dict(val_interval=100)
model = dict(objectives=[dict(type='mmocr_da.EntropyMinimization', weight=_base_.objective_weight)])
