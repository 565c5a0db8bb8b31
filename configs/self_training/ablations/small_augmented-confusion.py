"""Domain confusion on augmented images: the adversary that SymNet is compared with."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(type='mmocr_da.DomainConfusion', in_channels=128)])
