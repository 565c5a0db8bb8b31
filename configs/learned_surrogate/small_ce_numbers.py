"""The control: the trained recognizer, trained further by cross-entropy as long as with LS-ED."""

_base_ = './small_supervised_numbers.py'

load_from = 'work_dirs/small_supervised_numbers/iter_2500.pth'
max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1.0, end_factor=0.02, end=max_iters)
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
