"""Decoder evaluation: CTC on the frozen pre-trained encoder, with all labels."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = _base_.pretrained_encoder
train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [*_base_.custom_hooks, _base_.freeze_encoder]
# A linear layer from random weights, on features that do not come to meet it.
optim_wrapper = dict(optimizer=dict(lr=0.1))
