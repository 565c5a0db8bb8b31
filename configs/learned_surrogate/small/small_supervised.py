"""What is post-tuned: the recognizer, trained by cross-entropy until it has converged."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = None
max_iters = _base_.supervised_iters
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=max(max_iters // _base_.supervised_checkpoints, 1)))
train_dataloader = dict(dataset=_base_.supervised_dataset)
