"""What is post-tuned: trained on with the augmentation of SeqCLR until it has converged again.

With light augmentation alone the recognizer reads nearly all training words right, and LS-ED, which
learns from what is misread, has nothing to learn from.
"""

_base_ = './small_supervised_words.py'

load_from = 'work_dirs/small_supervised_words/iter_4000.pth'
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.load_image,
            _base_.load_text,
            _base_.resize,
            _base_.seqclr_augmentation,
            _base_.pack,
        ]
    )
)
max_iters = 1600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 9 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 4))
