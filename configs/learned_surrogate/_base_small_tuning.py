"""Post-tuning of the small rotated detector; ``load_from`` is given on the command line."""

_base_ = './_base_small_rrpn.py'

max_iters = 300
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters)]
default_hooks = dict(checkpoint=dict(interval=max_iters))
