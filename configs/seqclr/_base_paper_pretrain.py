"""Pre-training at full size (Appendix D): 1024 images, two views each, a step."""

_base_ = [
    '../_base_/models/tps_resnet_bilstm_attention_cased.py',
    '../_base_/schedules/adadelta_paper.py',
    './_base_pretrain.py',
]

model = dict(
    type='mmocr_da.SeqCLR',
    mapping=dict(type='mmocr_da.WindowToInstance', num_windows=5),
    loss=dict(temperature=0.1),
)

# 1024 in all: of R GPUs, each takes 1024 / R (--cfg-options train_dataloader.batch_size=256
# train_dataloader.sampler.batch_size=256 on 4); negatives come from all of them.
train_dataloader = dict(
    batch_size=1024, num_workers=8, pin_memory=True, sampler=dict(batch_size=1024)
)
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(checkpoint=dict(interval=10000))

val_cfg = None
test_cfg = None
