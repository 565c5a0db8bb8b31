"""SeqCLR's optimization (Appendix D): AdaDelta, tenths of the learning rate at 60 % and at 80 %."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adadelta', lr=10.0, rho=0.95, weight_decay=1e-4),
    clip_grad=dict(max_norm=5.0),
)
max_iters = 200000
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
