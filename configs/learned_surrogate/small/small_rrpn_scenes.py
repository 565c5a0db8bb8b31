"""The detector that is post-tuned: trained by smooth-L1, for MMOCR_DA_BASE_ITERS iterations."""

_base_ = '../../_base_/small_rrpn.py'

model = dict(cfg=dict(backbone=dict(norm_eval=False)))
max_iters = int('{{$MMOCR_DA_BASE_ITERS:1000}}')
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=100),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    ),
]
default_hooks = dict(checkpoint=dict(interval=min(max_iters // 3, 1000)))
