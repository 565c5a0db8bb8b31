"""LS-ED on MMOCR's own ASTER config: 20,000 iterations after its training."""

_base_ = ['mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py', './_base_lsed.py']

model = _base_.lsed
# MMOCR's released weights, or your own: load_from = 'aster_resnet45_6e_st_mj.pth'
train_cfg = dict(
    _delete_=True, type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=20000, val_interval=2000
)
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
param_scheduler = []
optim_wrapper = dict(
    optimizer=dict(lr=1e-4), paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=10.0)})
)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2000)
)
log_processor = dict(by_epoch=False)
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
