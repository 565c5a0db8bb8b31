"""Step 1 of every adaptation (Algorithm 1, line 1): the recognizer, trained on printed numbers."""

_base_ = './_base_small_p2h.py'

auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(_delete_=True, **{**_base_.p2h_source_train, 'pipeline': _base_.train_pipeline}),
)
