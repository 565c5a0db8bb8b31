"""Pre-training of the small encoder: 64 images, two views each, a step; Adam."""

_base_ = [
    '../_base_/models/bilstm_ctc_small.py',
    '../_base_/schedules/adam_small.py',
    './_base_pretrain.py',
]

# The decoder of the recognizer's config is not built.
model = dict(
    type='mmocr_da.SeqCLR',
    mapping=dict(type='mmocr_da.WindowToInstance', num_windows=5),
    loss=dict(temperature=0.1),
)

max_iters = 1500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# The paper's steps: a tenth of the learning rate after 60 % and after 80 % of the iterations.
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
default_hooks = dict(checkpoint=dict(interval=500))
train_dataloader = dict(batch_size=64, sampler=dict(batch_size=64))
auto_scale_lr = dict(base_batch_size=64)

val_cfg = None
test_cfg = None
