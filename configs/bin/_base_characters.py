"""Character recognition as in Appendix A of the paper: its recipe, in a run of minutes on a CPU."""

_base_ = [
    '../_base_/datasets/characters.py',
    '../_base_/models/character_resnet.py',
    '../_base_/default_runtime.py',
]

# The paper's 150 epochs of batches of 128, with a tenth of the learning rate after 50 and after 100
# epochs, became 13 epochs of batches of 64.
max_iters = 1200
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters // 3, 2 * max_iters // 3],
    )
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 3
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=max_iters // 3))
auto_scale_lr = dict(base_batch_size=64)

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset={**_base_.characters_train, 'pipeline': _base_.train_pipeline},
)

# To watch a run with: nothing is chosen by it, the result is that of the last checkpoint.
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**_base_.characters_test, 'pipeline': _base_.test_pipeline},
)
test_dataloader = val_dataloader

# The accuracy of words of one character, letter case aside.
val_evaluator = dict(_delete_=True, type='WordMetric', mode='ignore_case')
test_evaluator = val_evaluator
