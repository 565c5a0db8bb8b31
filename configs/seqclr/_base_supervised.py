"""What every training on labels has in common: a fixed part of them, light augmentation."""

_base_ = ['../_base_/datasets/seqclr_views.py', '../_base_/default_runtime.py']

# Which images have a label is written to labelled_subset.txt in the work directory.
custom_hooks = [dict(type='mmocr_da.LabelSubsetHook')]

load_image = dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2)
load_test_image = dict(type='LoadImageFromFile', color_type='grayscale')
load_text = dict(type='LoadOCRAnnotations', with_text=True)
pack = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)
resize = dict(type='Resize', scale=(100, 32))
test_steps = [load_test_image, load_text, resize, pack]

train_dataloader = dict(
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler'),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=dict(type='mmocr_da.LabelFraction', fraction=0.05, seed=0),
        pipeline=[load_image, load_text, resize, _base_.light_augmentation, pack],
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
