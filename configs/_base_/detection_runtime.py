"""The runtime of detectors: their visualizer; F1 (hmean) at an IoU of 0.5 and of 0.7."""

_base_ = './default_runtime.py'

visualizer = dict(type='TextDetLocalVisualizer')

val_evaluator = [
    dict(type='HmeanIOUMetric'),
    dict(type='HmeanIOUMetric', match_iou_thr=0.7, prefix='icdar_iou70'),
]
test_evaluator = val_evaluator
