"""What every adaptation starts from: trained on the source alone."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

iters = _base_.source_iters
load_from = f'work_dirs/small_detection-pretrained/iter_{_base_.pretraining_iters}.pth'
train_cfg = dict(max_iters=iters, val_interval=iters)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], T_max=iters)]
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=_base_.batch_size)
