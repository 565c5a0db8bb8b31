"""LA: local (character-level) alignment alone."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[_base_.local_alignment])
