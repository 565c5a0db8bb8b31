"""Decoder evaluation: attention on the frozen pre-trained encoder, with all labels."""

_base_ = './small_finetune-attention_words.py'

train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmocr_da.FreezeHook', modules=['backbone', 'encoder']),
]
