"""The bound: as many further steps on the target with its labels."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

train_dataloader = dict(
    _base_.source_dataloader,
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=[_base_.target_labelled],
        pipeline=_base_.train_pipeline,
    ),
)
auto_scale_lr = dict(base_batch_size=_base_.batch_size)
