"""Training of a small recognizer with a part of the labels: 64 images a step; Adam."""

_base_ = ['../_base_/schedules/adam_small.py', './_base_supervised.py']

max_iters = 600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
train_dataloader = dict(batch_size=64, sampler=dict(batch_size=64))
auto_scale_lr = dict(base_batch_size=64)

# Letters and digits count, letter case does not.
val_evaluator = dict(
    _delete_=True, type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True
)
test_evaluator = val_evaluator
