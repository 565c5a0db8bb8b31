"""Post-tuning of a small attention recognizer on the words of the folder data/words.

It starts after small_supervised-augmented.py: with light augmentation alone the recognizer predicts
nearly all training words right, and LS-ED, which learns from errors, has nothing to learn from.
"""

_base_ = '../small_seqclr.py'

load_from = 'work_dirs/small_supervised-augmented_words/iter_1600.pth'
model = _base_.attention
max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1.0, end_factor=0.02, end=max_iters)
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
custom_hooks = []

train_dataloader = dict(
    dataset=dict(
        datasets=dict(_delete_=True, **_base_.labelled_train),
        pipeline=[
            _base_.load_image,
            _base_.load_text,
            _base_.resize,
            _base_.seqclr_augmentation,
            _base_.pack,
        ],
    )
)
# Before the tuning: from random weights until it has converged.
supervised_iters, supervised_checkpoints = 4000, 4
supervised_dataset = dict(pipeline=_base_.train_dataloader.dataset.pipeline)
