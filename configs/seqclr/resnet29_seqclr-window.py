"""SeqCLR at full size, five windows per image, on words without their labels."""

_base_ = '../_base_/resnet29_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

model = dict(
    type='mmocr_da.SeqCLR',
    mapping=dict(type='mmocr_da.WindowToInstance', num_windows=5),
    loss=dict(temperature=0.1),
)
train_dataloader = _base_.pretraining_dataloader
auto_scale_lr = dict(base_batch_size=1024)
max_iters = _base_.pretraining_iters
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=10000, save_best=None, rule=None))
custom_hooks = _base_.pretraining_hooks
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
