"""Decoder evaluation: CTC on the frozen pre-trained encoder, with all labels."""

_base_ = './small_finetune-ctc_numbers.py'

train_dataloader = dict(dataset=dict(datasets=dict(fraction=1.0)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmocr_da.FreezeHook', modules=['backbone', 'encoder']),
]
# A linear layer from random weights, on features that do not come to meet it.
optim_wrapper = dict(optimizer=dict(lr=0.1))
