"""A CTC recognizer of 0.6 M parameters for 32 x 100 grey images, trained from scratch on a CPU.

On the words of the folder data/words, which has train.tsv, val.tsv and test.tsv with rows
``path<TAB>text``; paths are relative to it. The recognizer reads letters and digits without their
case: other characters of a label are skipped.
"""

_base_ = './default_runtime.py'

words = dict(
    type='RecogTextDataset',
    data_root='data/words',
    parser_cfg=dict(type='LineStrParser', separator='\t'),
    pipeline=None,
)
words_train = dict(words, ann_file='train.tsv')
words_val = dict(words, ann_file='val.tsv', test_mode=True)
words_test = dict(words, ann_file='test.tsv', test_mode=True)

dictionary = dict(
    type='Dictionary',
    dict_file='{{ fileDirname }}/dicts/lower_english_digits.txt',
    with_padding=True,  # CTC's blank
    with_unknown=True,
    unknown_token=None,
)

model = dict(
    type='EncoderDecoderRecognizer',
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    backbone=dict(
        type='ResNet',
        in_channels=1,
        stem_channels=[16],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1, 1, 1, 1, 1],
        arch_channels=[16, 32, 64, 128, 128],
        strides=[(2, 2), (2, 2), (2, 1), (2, 1), (2, 1)],
    ),  # 32 x 100 -> 1 x 25
    decoder=dict(
        type='CRNNDecoder',
        in_channels=128,
        rnn_flag=False,
        dictionary=dictionary,
        # A text that is longer than the 25 positions has no alignment.
        module_loss=dict(type='CTCModuleLoss', letter_case='lower', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(100, 32)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]
test_pipeline = [dict(type='LoadImageFromFile', color_type='grayscale'), *train_pipeline[1:]]

max_iters = 1000
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3), clip_grad=dict(max_norm=5.0)
)
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 2
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[max_iters * 7 // 10])
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 2))
auto_scale_lr = dict(base_batch_size=64)

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset={**words_train, 'pipeline': train_pipeline},
)
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset={**words_val, 'pipeline': test_pipeline},
)
test_dataloader = {
    **val_dataloader,
    'dataset': {**words_test, 'pipeline': test_pipeline},
}

# Letters and digits count, letter case does not.
val_evaluator = [dict(type='WordMetric', mode='ignore_case_symbol'), dict(type='OneMinusNEDMetric')]
test_evaluator = val_evaluator
