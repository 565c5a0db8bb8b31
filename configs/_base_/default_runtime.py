"""MMOCR's runtime for runs that are counted in iterations and watched while they run."""

_base_ = 'mmocr::textrecog/_base_/default_runtime.py'

# For MMOCR's own tools: what the package adapts to the installed torch must come first.
custom_imports = dict(imports=['mmocr_da'], allow_failed_imports=False)

# MMOCR's curves go to a json file; adversaries and gates are watched, so TensorBoard as well.
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(vis_backends=vis_backends)

log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=3),
)

randomness = dict(seed=0, deterministic=False)

# One number set per domain: target/recog/cer. MMOCR's own metrics keep their names beside it.
val_evaluator = dict(
    _delete_=True,
    type='MultiDatasetsEvaluator',
    metrics=[dict(type='mmocr_da.TextErrorMetric')],
    dataset_prefixes=['source', 'target'],
)
test_evaluator = val_evaluator
