"""What every adaptation starts from: trained on the source alone."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

load_from = None
train_cfg = dict(max_iters=_base_.source_iters, val_interval=_base_.source_iters)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[_base_.source_iters * 7 // 10], gamma=0.1)
]
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=8)
