"""A small attention recognizer on the words of a folder."""

_base_ = [
    '../_base_/datasets/words.py',
    '../_base_/models/bilstm_attention_small.py',
    '../_base_/datasets/seqclr_views.py',
    '../_base_/schedules/adam_small.py',
    '../_base_/default_runtime.py',
]

load_image = dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2)
load_test_image = dict(type='LoadImageFromFile', color_type='grayscale')
load_text = dict(type='LoadOCRAnnotations', with_text=True)
resize = dict(type='Resize', scale=(100, 32))
pack = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)

auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=64),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=_base_.words_train,
        pipeline=[load_image, load_text, resize, _base_.light_augmentation, pack],
    ),
)
test_steps = [load_test_image, load_text, resize, pack]
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**_base_.words_val, 'pipeline': test_steps},
)
test_dataloader = {**val_dataloader, 'dataset': {**_base_.words_test, 'pipeline': test_steps}}

# Letters and digits count, letter case does not.
val_evaluator = dict(
    _delete_=True, type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True
)
test_evaluator = val_evaluator
