"""As many further steps on the source as an adaptation has, with batch-instance norm."""

_base_ = ['../../_base_/small_adaptation.py', '../../_base_/gates.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = f'work_dirs/small_bin-source-only_{_base_.data}/iter_{_base_.source_iters}.pth'
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=64)
model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
# There is no adversary whose learning rate would have a factor.
optim_wrapper = dict(_base_.gates, paramwise_cfg=dict(_delete_=True))
