"""Character recognition as in Appendix A of the BIN paper: its recipe, in minutes on a CPU.

Isolated characters in many styles, tested in font families that were never seen; written by
tools/dataset_converters/styled_characters.py. ResNet-8 for 32 x 32 pixels, 0.08 M parameters: three
stages of one block, 16, 32, 64 wide; ``arch_layers=[2, 2, 2]`` is ResNet-14.
"""

_base_ = './default_runtime.py'

characters_data_root = 'data/styled_characters'

characters_train = dict(
    type='OCRDataset',
    data_root=characters_data_root,
    ann_file='textrecog_train.json',
    pipeline=None,
)

characters_test = dict(
    type='OCRDataset',
    data_root=characters_data_root,
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)

dictionary = dict(type='Dictionary', dict_file='{{ fileDirname }}/dicts/lower_english_digits.txt')

model = dict(
    type='EncoderDecoderRecognizer',
    data_preprocessor=dict(
        type='TextRecogDataPreprocessor', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]
    ),
    backbone=dict(
        type='ResNet',
        in_channels=3,
        stem_channels=[16],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1, 1, 1],
        arch_channels=[16, 32, 64],
        strides=[1, 2, 2],
    ),
    decoder=dict(
        type='mmocr_da.CharacterDecoder',
        in_channels=64,
        dictionary=dictionary,
        # The dictionary has characters alone: nothing to pad with, nothing to ignore.
        module_loss=dict(
            type='CEModuleLoss',
            letter_case='lower',
            pad_with='none',
            ignore_char=-1,
            flatten=True,
            reduction='mean',
        ),
        postprocessor=dict(type='AttentionPostprocessor', ignore_chars=[]),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(32, 32)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]
test_pipeline = train_pipeline

# The paper's 150 epochs of batches of 128, with a tenth of the learning rate after 50 and after 100
# epochs, became 13 epochs of batches of 64.
max_iters = 1200
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters // 3, 2 * max_iters // 3],
    )
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 3
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=max_iters // 3))
auto_scale_lr = dict(base_batch_size=64)

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset={**characters_train, 'pipeline': train_pipeline},
)

# To watch a run with: nothing is chosen by it, the result is that of the last checkpoint.
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**characters_test, 'pipeline': test_pipeline},
)
test_dataloader = val_dataloader

# The accuracy of words of one character, letter case aside.
val_evaluator = dict(_delete_=True, type='WordMetric', mode='ignore_case')
test_evaluator = val_evaluator
