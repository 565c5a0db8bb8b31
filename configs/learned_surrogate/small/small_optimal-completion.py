"""The trained recognizer, tuned to complete its own texts with as few edits as possible."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    supervised_weight=0,  # this loss instead
    objectives=[dict(type='mmocr_da.OptimalCompletion')],
)
