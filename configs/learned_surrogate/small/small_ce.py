"""The control: the trained recognizer, trained further by cross-entropy as long as with LS-ED."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'
