"""Decoder evaluation at full size: CTC on the frozen pre-trained encoder, with all labels."""

_base_ = '../_base_/resnet29_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

model = _base_.ctc
load_from = _base_.pretrained_encoder
train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [*_base_.custom_hooks, _base_.freeze_encoder]
