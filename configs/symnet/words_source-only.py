"""Step 1: a recognizer of the source."""

_base_ = './_base_words.py'

max_iters = 2000
train_cfg = dict(max_iters=max_iters, val_interval=500)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[max_iters * 7 // 10])
]
auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(_delete_=True, **{**_base_.source_words_train, 'pipeline': _base_.train_pipeline}),
)
