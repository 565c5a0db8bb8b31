"""SymNet without category confusion: eq. 12 instead of 8."""

_base_ = '../small/small_symnet.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(_base_.symnet, confusion='domain')])
