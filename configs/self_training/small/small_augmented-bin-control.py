"""What adaptations with batch-instance norm are compared with: as long on the source alone."""

_base_ = ['../../_base_/small_augmented.py', '../../_base_/gates.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = (
    f'work_dirs/small_augmented-bin-source-only_{_base_.data}/iter_{_base_.source_iters}.pth'
)
train_dataloader = _base_.source_dataloader
auto_scale_lr = dict(base_batch_size=64)
model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
optim_wrapper = dict(_base_.gates, paramwise_cfg=dict(_delete_=True))  # there is no adversary
