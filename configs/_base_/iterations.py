"""Training by iterations instead of epochs, with curves in TensorBoard, for MMOCR's own configs.

A config takes it key by key, as MMEngine merges no two bases that have the same key:

    _base_ = ['mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py', 'mmocr_da::_base_/iterations.py']
    train_cfg, param_scheduler = _base_.iteration_loop, []
    default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
    visualizer = _base_.iteration_curves
"""

iteration_loop = dict(
    _delete_=True, type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=20000, val_interval=2000
)
iteration_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=2000),
    health=dict(type='mmocr_da.HealthHook'),
)
iteration_log = dict(by_epoch=False)
iteration_curves = dict(
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
)
