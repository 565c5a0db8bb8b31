"""Alignment of the feature maps after the neck."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

model = dict(objectives=[_base_.alignment])
custom_hooks = [_base_.frozen_norms]
