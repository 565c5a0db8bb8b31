"""ASSDA with both lambdas on the 'constant' schedule instead of the rising one."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    objectives=[
        dict(_base_.global_alignment, schedule='constant'),
        dict(_base_.local_alignment, schedule='constant'),
    ]
)
