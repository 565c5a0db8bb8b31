"""SymNet whose features get labels from eq. 8 alone, as in the paper."""

_base_ = '../small/small_symnet.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(supervised_weight=0)
