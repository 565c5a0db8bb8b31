"""Decoder evaluation at full size: CTC on the frozen encoder, with all labels of RIMES."""

_base_ = './resnet29_finetune-ctc_rimes.py'

train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmocr_da.FreezeHook', modules=['preprocessor', 'backbone', 'encoder']),
]
