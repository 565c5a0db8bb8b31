"""GA on the mean of an image's map instead of its positions."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(_base_.global_alignment, pooling='mean')])
