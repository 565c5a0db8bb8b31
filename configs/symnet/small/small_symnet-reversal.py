"""SymNet whose features are trained by a reversed gradient instead of confusion."""

_base_ = './small_symnet.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(_base_.symnet, confusion='reversal')])
