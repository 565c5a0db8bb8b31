"""The recognizer trained on the source alone, with batch-instance norm."""

_base_ = ['../../_base_/small_adaptation.py', '../../_base_/gates.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = None
train_cfg = dict(max_iters=_base_.source_iters, val_interval=_base_.source_val_interval)
param_scheduler = _base_.source_schedule
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=64)
model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
# There is no adversary whose learning rate would have a factor.
optim_wrapper = dict(_base_.gates, paramwise_cfg=dict(_delete_=True))
