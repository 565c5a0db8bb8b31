"""What every pre-training shares: two views of each image, no labels, nothing to validate."""

_base_ = ['../_base_/datasets/seqclr_views.py', '../_base_/default_runtime.py']

# There are no labels: RepresentationHook says how the representation does.
custom_hooks = [
    dict(type='mmocr_da.EncoderExportHook'),
    dict(type='mmocr_da.RepresentationHook', interval=50),
]

load_image = dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2)
resize = dict(type='Resize', scale=(100, 32))
pack = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)
seqclr_views = dict(type='mmocr_da.MultiView', transforms=[_base_.seqclr_augmentation, pack])
# The whole image is the instance: its columns may move.
simclr_views = dict(
    type='mmocr_da.MultiView',
    keep_order=False,
    transforms=[*_base_.simclr_augmentations, resize, pack],
)

train_dataloader = dict(
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler'),
    dataset=dict(type='mmocr_da.SeededDataset', pipeline=[load_image, resize, seqclr_views]),
)
val_evaluator = None
test_evaluator = None
