"""What is post-tuned: the recognizer, trained by cross-entropy until it has converged."""

_base_ = './_base_small_words.py'

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 4))
