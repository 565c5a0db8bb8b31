"""Step 1 of every adaptation (Algorithm 1, line 1): the recognizer, trained on the source."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = None
train_cfg = dict(max_iters=_base_.source_iters, val_interval=_base_.source_val_interval)
param_scheduler = _base_.source_schedule
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=64)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
