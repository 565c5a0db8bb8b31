"""Decoder evaluation of a feature map without a sequence model, as for SimCLR: attention on V."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

# An encoder without layers hands the map on.
model = dict(_base_.attention, encoder=dict(as_map=False, num_layers=0))
train_cfg, param_scheduler = _base_.attention_loop, _base_.attention_schedule
default_hooks = _base_.attention_hooks
load_from = _base_.pretrained_simclr
train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [*_base_.custom_hooks, _base_.freeze_encoder]
