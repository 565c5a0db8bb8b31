"""SeqCLR's recognizer at full size (Appendix D), trained on 5 % of the labels: 256 images a step.

TPS, 29-layer ResNet, BiLSTM, attention; case-sensitive. ``ctc`` is the other decoder, and
``pretraining_*`` is what a pre-training without labels takes instead. The option MMOCR_DA_DATA
chooses the data (configs/README.md):

* ``iam`` (default), ``rimes``, ``cvl``: handwritten words, as tools/dataset_converters/
  prepare_dataset.py writes them.
* ``synthtext``: SynthText with all labels, validated on the training words of IIIT5K and ICDAR
  2013, tested on their test words, letter case and symbols aside.
"""

_base_ = ['./datasets/seqclr_views.py', './default_runtime.py']

data = '{{$MMOCR_DA_DATA:iam}}'
_words = dict(type='OCRDataset', ann_file='textrecog_train.json', pipeline=None)
_test_words = dict(type='OCRDataset', ann_file='textrecog_test.json', test_mode=True, pipeline=None)
dict_file = '{{ fileDirname }}/dicts/english_95.txt'
val_evaluator = dict(_delete_=True, type='mmocr_da.TextErrorMetric')
test_evaluator = val_evaluator
if data in ('iam', 'rimes', 'cvl'):
    labelled_train = dict(_words, data_root=f'data/{data}')
    labelled_val = dict(_test_words, data_root=f'data/{data}', ann_file='textrecog_val.json')
    labelled_test = dict(_test_words, data_root=f'data/{data}')
    fraction, pretraining_iters = 0.05, 200000
    if data == 'rimes':
        dict_file = '{{ fileDirname }}/dicts/french.txt'
elif data == 'synthtext':
    labelled_train = dict(_words, data_root='data/synthtext')
    labelled_val = dict(
        type='ConcatDataset',
        datasets=[
            dict(_words, data_root='data/iiit5k', test_mode=True),
            dict(_words, data_root='data/icdar2013', test_mode=True),
        ],
    )
    labelled_test = dict(
        type='ConcatDataset',
        datasets=[
            dict(_test_words, data_root='data/iiit5k'),
            dict(_test_words, data_root='data/icdar2013'),
        ],
    )
    test_evaluator = dict(
        _delete_=True,
        type='MultiDatasetsEvaluator',
        metrics=[dict(type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True)],
        dataset_prefixes=['IIIT5K', 'IC13'],
    )
    fraction, pretraining_iters = 1.0, 400000
else:
    raise ValueError(
        f"MMOCR_DA_DATA must be 'iam', 'rimes', 'cvl' or 'synthtext' here, got {data!r}"
    )

dictionary = dict(type='Dictionary', dict_file=dict_file, with_padding=True, with_unknown=True)
model = dict(
    type='mmocr_da.AdaptiveRecognizer',  # without objectives a plain recognizer
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    preprocessor=dict(
        type='STN',
        in_channels=1,
        resized_image_size=(32, 64),
        output_image_size=(32, 100),
        num_control_points=20,
    ),
    backbone=dict(
        type='mmocr_da.TextResNet',
        in_channels=1,
        stem_channels=[32, 64],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1, 2, 5, 3],
        arch_channels=[128, 256, 512, 512],
        strides=[1, 1, 1, 1],
        plugins=[
            dict(
                cfg=dict(type='Maxpool2d', kernel_size=2, stride=2),
                stages=(True, True, False, False),
                position='before_stage',
            ),
            dict(
                cfg=dict(type='Maxpool2d', kernel_size=2, stride=(2, 1), padding=(0, 1)),
                stages=(False, False, True, False),
                position='before_stage',
            ),
            dict(
                cfg=dict(
                    type='ConvModule',
                    kernel_size=3,
                    padding=1,
                    bias=False,
                    norm_cfg=dict(type='BN'),
                ),
                stages=(True, True, True, False),
                position='after_stage',
            ),
        ],
        tail=[  # 32 x 100 -> 1 x 26
            dict(out_channels=512, kernel_size=2, stride=(2, 1), padding=(0, 1)),
            dict(out_channels=512, kernel_size=2),
        ],
    ),
    encoder=dict(type='mmocr_da.BiLSTMEncoder', in_channels=512, hidden_size=256, out_channels=256),
    decoder=dict(
        type='mmocr_da.AttentionDecoder',
        in_channels=256,
        emb_dims=256,
        attn_dims=256,
        hidden_size=256,
        cell='lstm',
        readout='hidden',
        max_seq_len=26,
        dictionary=dict(dictionary, with_start=True, with_end=True, same_start_end=False),
        module_loss=dict(
            type='CEModuleLoss',
            letter_case='unchanged',
            flatten=True,
            ignore_first_char=True,
            reduction='mean',
        ),
        postprocessor=dict(type='AttentionPostprocessor'),
    ),
)
ctc = dict(
    encoder=dict(as_map=True),
    decoder=dict(
        _delete_=True,
        type='SVTRDecoder',  # a linear layer on the sequence
        in_channels=256,
        dictionary=dictionary,
        # A text that is longer than the 26 positions has no alignment.
        module_loss=dict(type='CTCModuleLoss', letter_case='unchanged', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
    ),
)

# AdaDelta, tenths of the learning rate at 60 % and at 80 % (Appendix D).
max_iters = 50000
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adadelta', lr=10.0, rho=0.95, weight_decay=1e-4),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[30000, 40000])]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=2500
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# The best checkpoint by labelled images of the validation split, as in the paper.
default_hooks = dict(checkpoint=dict(interval=2500, save_best='recog/word_acc', rule='greater'))
auto_scale_lr = dict(base_batch_size=256)
# Which images have a label is written to labelled_subset.txt in the work directory.
custom_hooks = [dict(type='mmocr_da.LabelSubsetHook')]
freeze_encoder = dict(type='mmocr_da.FreezeHook', modules=['preprocessor', 'backbone', 'encoder'])

load_image = dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2)
load_test_image = dict(type='LoadImageFromFile', color_type='grayscale')
load_text = dict(type='LoadOCRAnnotations', with_text=True)
resize = dict(type='Resize', scale=(100, 32))
pack = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)
test_pipeline = [load_test_image, load_text, resize, pack]

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=256),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=dict(
            type='mmocr_da.LabelFraction', dataset=labelled_train, fraction=fraction, seed=0
        ),
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

# 1024 images, two views each, in all: of R GPUs, each takes 1024 / R (--cfg-options
# train_dataloader.batch_size=256 train_dataloader.sampler.batch_size=256 on 4); negatives come
# from all of them.
pretraining_dataloader = dict(
    _delete_=True,
    batch_size=1024,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=1024),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=dict(type='mmocr_da.UnlabelledDataset', dataset=labelled_train, pipeline=None),
        pipeline=[
            load_image,
            resize,
            dict(type='mmocr_da.MultiView', transforms=[_base_.seqclr_augmentation, pack]),
        ],
    ),
)
# There are no labels: RepresentationHook says how the representation does.
pretraining_hooks = [
    dict(type='mmocr_da.EncoderExportHook'),
    dict(type='mmocr_da.RepresentationHook', interval=50),
]
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
pretrained_encoder = f'work_dirs/resnet29_seqclr-window_{data}/encoder_iter_{pretraining_iters}.pth'
