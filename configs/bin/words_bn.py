"""Words of a folder of your own with batch norm: what BIN is compared with."""

_base_ = [
    '../_base_/datasets/words.py',
    '../_base_/models/ctc_small.py',
    '../_base_/schedules/adam_small.py',
    '../_base_/default_runtime.py',
]

max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[max_iters * 7 // 10])
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 2))
auto_scale_lr = dict(base_batch_size=64)

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset={**_base_.words_train, 'pipeline': _base_.train_pipeline},
)
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**_base_.words_val, 'pipeline': _base_.test_pipeline},
)
test_dataloader = {
    **val_dataloader,
    'dataset': {**_base_.words_test, 'pipeline': _base_.test_pipeline},
}

# Letters and digits count, letter case does not.
val_evaluator = [dict(type='WordMetric', mode='ignore_case_symbol'), dict(type='OneMinusNEDMetric')]
test_evaluator = val_evaluator
