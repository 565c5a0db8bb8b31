"""The runtime of rotated detectors, and steps of their pipelines.

Between these steps a config moves and cuts the images. F1 (hmean) at an IoU of 0.5 and of 0.7,
and how well the boxes fit.
"""

_base_ = './default_runtime.py'

visualizer = dict(type='TextDetLocalVisualizer')

val_evaluator = [
    dict(type='HmeanIOUMetric'),
    dict(type='HmeanIOUMetric', match_iou_thr=0.7, prefix='icdar_iou70'),
    dict(type='mmocr_da.BoxQualityMetric'),
]
test_evaluator = val_evaluator

load_photo = dict(
    type='LoadImageFromFile', color_type='color_ignore_orientation', ignore_empty=True, min_size=2
)
load_test_photo = dict(type='LoadImageFromFile', color_type='color_ignore_orientation')
load_boxes = dict(type='LoadOCRAnnotations', with_polygon=True, with_bbox=True, with_label=True)
check_polygons = dict(type='mmocr_da.CheckPolygons')
jitter = dict(
    type='TorchVisionWrapper', op='ColorJitter', brightness=32.0 / 255, saturation=0.5, contrast=0.5
)
pack_boxes = [
    dict(type='mmocr_da.PolygonsToRotatedBoxes', min_size=2),
    dict(
        type='mmdet.PackDetInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor')
    ),
]
pack_polygons = dict(
    type='PackTextDetInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor')
)
