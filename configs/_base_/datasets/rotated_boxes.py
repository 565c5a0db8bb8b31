"""Steps of the pipelines of rotated detectors; between them a config moves and cuts the images."""

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
