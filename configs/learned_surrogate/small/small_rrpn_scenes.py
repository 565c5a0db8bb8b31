"""The detector that is post-tuned: trained by smooth-L1."""

_base_ = '../../_base_/small_rrpn.py'

max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=100),
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[700, 900]),
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 3))
