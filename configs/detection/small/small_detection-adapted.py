"""Self-training with the alignment beside it."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

model = dict(objectives=[_base_.alignment, _base_.self_training])
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
custom_hooks = [_base_.frozen_norms]
