"""Decoder evaluation and fine-tuning at full size (Appendix D): 50,000 iterations of 256 images."""

_base_ = ['../_base_/schedules/adadelta_paper.py', './_base_supervised.py']

max_iters = 50000
train_cfg = dict(max_iters=max_iters, val_interval=2500)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
# The best checkpoint by labelled images of the validation split, as in the paper.
default_hooks = dict(checkpoint=dict(interval=2500, save_best='recog/word_acc', rule='greater'))
train_dataloader = dict(
    batch_size=256, num_workers=8, pin_memory=True, sampler=dict(batch_size=256)
)
auto_scale_lr = dict(base_batch_size=256)
val_evaluator = dict(_delete_=True, type='mmocr_da.TextErrorMetric')
test_evaluator = val_evaluator
