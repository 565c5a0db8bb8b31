"""What is post-tuned on words: trained on with SeqCLR's augmentation until it converged again."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

if _base_.data != 'words':
    raise ValueError(
        'Only the words have this step: set MMOCR_DA_DATA=words; numbers need small_supervised.py'
    )
load_from = 'work_dirs/small_supervised_words/iter_4000.pth'
max_iters = 1600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 9 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 4))
