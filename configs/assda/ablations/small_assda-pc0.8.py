"""ASSDA with a gate at p_c = 0.8."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[_base_.global_alignment, dict(_base_.local_alignment, threshold=0.8)])
