"""The bound of an adaptation: as many further steps on the target with its labels."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_dataloader = dict(
    _base_.source_dataloader,
    dataset=dict(_base_.target_labelled, pipeline=_base_.train_pipeline),
)
auto_scale_lr = dict(base_batch_size=64)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
