"""Post-tuning of a small recognizer on printed numbers; tested on printed and handwritten ones.

Without augmentation the recognizer soon predicts all training images right: LS-ED, which learns
from errors, would have nothing to learn from.
"""

_base_ = ['../small_adaptation.py', '../datasets/seqclr_views.py']

load_from = 'work_dirs/small_supervised_numbers/iter_2500.pth'
max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(_delete_=True))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1.0, end_factor=0.02, end=max_iters)
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=64)

train_pipeline = [
    _base_.load_image,
    _base_.load_text,
    _base_.resize,
    _base_.seqclr_augmentation,
    _base_.pack,
]
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='mmocr_da.SeededSampler', batch_size=64),
    dataset=dict(
        _delete_=True,
        type='mmocr_da.SeededDataset',
        datasets=_base_.source_train,
        pipeline=train_pipeline,
    ),
)
# Before the tuning: from random weights until it has converged.
supervised_iters, supervised_checkpoints = 2500, 5
supervised_dataset = dict(pipeline=train_pipeline)
