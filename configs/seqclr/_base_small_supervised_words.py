"""Labelled images of ``words.py``: 5 % of them to train on."""

_base_ = ['./_base_small_supervised.py', '../_base_/datasets/words.py']

# 36 characters, not ten.
max_iters = 1500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 8 // 10, max_iters * 9 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=max_iters))

train_dataloader = dict(dataset=dict(datasets=dict(dataset=_base_.words_train)))
val_dataloader = dict(dataset={**_base_.words_val, 'pipeline': _base_.test_steps})
test_dataloader = dict(dataset={**_base_.words_test, 'pipeline': _base_.test_steps})
