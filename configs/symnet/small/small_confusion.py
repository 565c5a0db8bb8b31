"""Domain confusion (eq. 2 to 4), without regard to classes."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_cfg = dict(val_interval=100)
model = dict(objectives=[dict(type='mmocr_da.DomainConfusion', in_channels=128)])
