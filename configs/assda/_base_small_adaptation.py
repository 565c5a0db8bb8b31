"""What every adaptation of the small recognizer shares: where it starts and how long it runs."""

_base_ = './_base_small_p2h.py'

global_alignment = dict(
    type='mmocr_da.GlobalAlignment',
    in_channels=128,
    pooling='position',
    weight=0.3,
    schedule='rising',
)
local_alignment = dict(
    type='mmocr_da.LocalAlignment', in_channels=128, weight=0.6, schedule='rising', threshold=0.5
)

load_from = 'work_dirs/small_source-only_p2h/iter_400.pth'
train_cfg = dict(max_iters=800, val_interval=400)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[560], gamma=0.1)]
# Adversaries that keep up with the features: they learn five times as fast.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=5.0)}))
