"""Adam for small recognizers; counted in iterations, resumed to the exact batch."""

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3), clip_grad=dict(max_norm=5.0)
)
param_scheduler = []
train_cfg = dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=400, val_interval=100)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
