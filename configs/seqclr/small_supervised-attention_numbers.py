"""What pre-training is compared with: from random weights, on 5 % of the labels, with attention."""

_base_ = ['../_base_/models/bilstm_attention_small.py', './_base_small_supervised_numbers.py']

# Attention finds its place late, and from few labels later.
max_iters = 1200
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
