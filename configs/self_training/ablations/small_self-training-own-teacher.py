"""The recognizer is its own teacher, without a moving average."""

_base_ = '../small/small_self-training.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(_base_.self_training, decay=0)])
