"""Decoder evaluation: attention on the frozen pre-trained encoder, with all labels."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = _base_.attention
train_cfg, param_scheduler = _base_.attention_loop, _base_.attention_schedule
default_hooks = _base_.attention_hooks
load_from = _base_.pretrained_encoder
train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [*_base_.custom_hooks, _base_.freeze_encoder]
