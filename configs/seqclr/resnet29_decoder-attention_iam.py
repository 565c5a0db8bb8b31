"""Decoder evaluation at full size: attention on the frozen encoder, with all labels of IAM."""

_base_ = './resnet29_finetune-attention_iam.py'

train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmocr_da.FreezeHook', modules=['preprocessor', 'backbone', 'encoder']),
]
