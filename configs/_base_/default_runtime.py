"""The runtime of this package: MMOCR's, for runs that are counted in iterations and watched."""

default_scope = 'mmocr'
# For MMOCR's own tools: what the package adapts to the installed torch must come first.
custom_imports = dict(imports=['mmocr_da'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0, deterministic=False)
load_from = None
resume = False

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffer=dict(type='SyncBuffersHook'),
    visualization=dict(
        type='VisualizationHook',
        interval=1,
        enable=False,
        show=False,
        draw_gt=False,
        draw_pred=False,
    ),
)
log_level = 'INFO'
log_processor = dict(type='LogProcessor', window_size=10, by_epoch=False)

# Losses, discriminators and gates are watched, so TensorBoard as well.
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='TextRecogLocalVisualizer', name='visualizer', vis_backends=vis_backends)

# One set of numbers per domain: target/recog/cer.
val_evaluator = dict(
    type='MultiDatasetsEvaluator',
    metrics=[dict(type='mmocr_da.TextErrorMetric')],
    dataset_prefixes=['source', 'target'],
)
test_evaluator = val_evaluator

tta_model = dict(type='EncoderDecoderRecognizerTTAModel')
