"""Decoder evaluation of a feature map without a sequence model, as SimCLR has it: CTC on V."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(encoder=dict(num_layers=0))
load_from = _base_.pretrained_simclr
train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [*_base_.custom_hooks, _base_.freeze_encoder]
# A linear layer from random weights, on features that do not come to meet it.
optim_wrapper = dict(optimizer=dict(lr=0.1))
