"""A small recognizer for SeqCLR on a CPU: trained on 5 % of the labels, 64 images a step.

CNN, BiLSTM and a CTC classifier, 0.9 M parameters; ``attention`` is the other decoder, and
``pretraining_*`` is what a pre-training without labels takes instead. The option MMOCR_DA_DATA
chooses the data (configs/README.md):

* ``numbers`` (default): handwritten numbers, grey images of 16 x 64 pixels; written by
  tools/dataset_converters/printed_to_handwritten.py --with-target-train-labels.
* ``words``: the folder data/words, grey images of 32 x 100 pixels; it has train.tsv, val.tsv and
  test.tsv with rows ``path<TAB>text``. Pre-training reads no text.
"""

_base_ = [
    './datasets/seqclr_views.py',
    './models/small_attention.py',
    './default_runtime.py',
]

data = '{{$MMOCR_DA_DATA:numbers}}'
if data == 'numbers':
    _numbers = dict(
        type='OCRDataset', data_root='data/printed_to_handwritten/target', pipeline=None
    )
    labelled_train = dict(_numbers, ann_file='textrecog_train_labelled.json')
    unlabelled_train = dict(_numbers, ann_file='textrecog_train.json')
    labelled_val = dict(_numbers, ann_file='textrecog_val.json', test_mode=True)
    labelled_test = dict(_numbers, ann_file='textrecog_test.json', test_mode=True)
    scale = (64, 16)
    max_iters, milestones = 600, [360, 480]
    # Attention finds its place late, and from few labels later.
    attention_iters, attention_milestones = 1200, [960, 1080]
elif data == 'words':
    _words = dict(
        type='RecogTextDataset',
        data_root='data/words',
        parser_cfg=dict(type='LineStrParser', separator='\t'),
        pipeline=None,
    )
    labelled_train = dict(_words, ann_file='train.tsv')
    unlabelled_train = labelled_train
    labelled_val = dict(_words, ann_file='val.tsv', test_mode=True)
    labelled_test = dict(_words, ann_file='test.tsv', test_mode=True)
    scale = (100, 32)
    max_iters, milestones = 1500, [1200, 1350]  # 36 characters, not ten
    attention_iters, attention_milestones = max_iters, milestones
else:
    raise ValueError(f"MMOCR_DA_DATA must be 'numbers' or 'words' here, got {data!r}")

# Letters and digits without their case: other characters of a label are skipped.
dictionary = dict(
    type='Dictionary',
    dict_file='{{ fileDirname }}/dicts/lower_english_digits.txt',
    with_padding=True,  # CTC's blank
    with_unknown=True,
    unknown_token=None,
)
model = dict(
    type='mmocr_da.AdaptiveRecognizer',  # without objectives a plain recognizer
    channels_last=True,
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
    encoder=dict(
        type='mmocr_da.BiLSTMEncoder',
        in_channels=128,
        hidden_size=64,
        out_channels=128,
        as_map=True,
    ),
    decoder=dict(
        type='SVTRDecoder',  # a linear layer on the sequence
        in_channels=128,
        dictionary=dictionary,
        # A text that is longer than the 25 positions has no alignment.
        module_loss=dict(type='CTCModuleLoss', letter_case='lower', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
    ),
)
attention = dict(encoder=dict(as_map=False), decoder=_base_.attention_decoder)

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3), clip_grad=dict(max_norm=5.0)
)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=milestones)]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=max_iters))
attention_loop = dict(max_iters=attention_iters, val_interval=attention_iters)
attention_schedule = [
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=attention_milestones)
]
attention_hooks = dict(checkpoint=dict(interval=attention_iters))
auto_scale_lr = dict(base_batch_size=64)
# Which images have a label is written to labelled_subset.txt in the work directory.
custom_hooks = [dict(type='mmocr_da.LabelSubsetHook')]
freeze_encoder = dict(type='mmocr_da.FreezeHook', modules=['backbone', 'encoder'])

load_image = dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2)
load_test_image = dict(type='LoadImageFromFile', color_type='grayscale')
load_text = dict(type='LoadOCRAnnotations', with_text=True)
resize = dict(type='Resize', scale=scale)
pack = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)
test_pipeline = [load_test_image, load_text, resize, pack]

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=64),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=dict(type='mmocr_da.LabelFraction', dataset=labelled_train, fraction=0.05, seed=0),
        pipeline=[load_image, load_text, resize, _base_.light_augmentation, pack],
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(labelled_val, pipeline=test_pipeline),
)
test_dataloader = dict(val_dataloader, dataset=dict(labelled_test, pipeline=test_pipeline))
# Letters and digits count, letter case does not.
val_evaluator = dict(
    _delete_=True, type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True
)
test_evaluator = val_evaluator

pretraining_dataloader = dict(
    _delete_=True,
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=64),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=dict(type='mmocr_da.UnlabelledDataset', dataset=unlabelled_train, pipeline=None),
        pipeline=[
            load_image,
            resize,
            dict(type='mmocr_da.MultiView', transforms=[_base_.seqclr_augmentation, pack]),
        ],
    ),
)
# The whole image is the instance: its columns may move.
simclr_pipeline = [
    load_image,
    resize,
    dict(
        type='mmocr_da.MultiView',
        keep_order=False,
        transforms=[*_base_.simclr_augmentations, resize, pack],
    ),
]
# The paper's steps: a tenth of the learning rate after 60 % and after 80 % of the iterations.
pretraining_schedule = [dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[900, 1200])]
# There are no labels: RepresentationHook says how the representation does.
pretraining_hooks = [
    dict(type='mmocr_da.EncoderExportHook'),
    dict(type='mmocr_da.RepresentationHook', interval=50),
]
pretrained_encoder = f'work_dirs/small_seqclr-window_{data}/encoder_iter_1500.pth'
pretrained_simclr = f'work_dirs/small_simclr_{data}/encoder_iter_1500.pth'
