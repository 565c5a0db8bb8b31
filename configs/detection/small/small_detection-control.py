"""What an adaptation is compared with: as many further steps on the source alone."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=_base_.batch_size)
