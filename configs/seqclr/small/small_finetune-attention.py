"""Fine-tuning of the pre-trained encoder on 5 % of the labels, with attention."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = _base_.attention
train_cfg, param_scheduler = _base_.attention_loop, _base_.attention_schedule
default_hooks = _base_.attention_hooks
load_from = _base_.pretrained_encoder
