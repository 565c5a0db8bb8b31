"""SeqCLR at full size with an instance per frame; the paper's smaller batches for it."""

_base_ = '../resnet29_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

model = dict(
    mapping=dict(_delete_=True, type='mmocr_da.FrameToInstance'),
    projection=dict(
        type='mmocr_da.MLPProjection', in_channels=256, hidden_channels=256, out_channels=256
    ),
)
max_iters = 300000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
train_dataloader = dict(batch_size=256, sampler=dict(batch_size=256))
auto_scale_lr = dict(base_batch_size=256)
