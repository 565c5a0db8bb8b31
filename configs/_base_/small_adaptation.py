"""Adaptation of a small recognizer on a CPU: a trained one, 64 source and 64 target images a step.

The option MMOCR_DA_DATA chooses data and recognizer (configs/README.md):

* ``numbers`` (default): printed to handwritten numbers, an attention recognizer of 0.9 M
  parameters for grey images of 16 x 64 pixels. Data: tools/dataset_converters/
  printed_to_handwritten.py.
* ``words``: words of the folder data/source_words to those of data/target_words, a CTC recognizer
  of 0.6 M parameters for grey images of 32 x 100 pixels. Both folders have train.tsv, val.tsv
  and test.tsv with rows ``path<TAB>text``; the texts of the target's train.tsv are dropped. The
  options MMOCR_DA_SOURCE and MMOCR_DA_TARGET name other folders.
* ``words-attention``: the same words, and an attention recognizer of 1.0 M parameters for them.

The validation images of the target are there to watch a run: a checkpoint that is chosen by them
was chosen by labels of the target.
"""

_base_ = './default_runtime.py'

data = '{{$MMOCR_DA_DATA:numbers}}'
load_image = dict(type='LoadImageFromFile', color_type='grayscale')
load_text = dict(type='LoadOCRAnnotations', with_text=True)
pack = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)

attention = dict(  # deleted below: dictionary, loss and length are not those of CTC
    encoder=dict(type='ASTEREncoder', in_channels=128),
    decoder=dict(
        type='ASTERDecoder',
        in_channels=128,
        emb_dims=128,
        attn_dims=128,
        hidden_size=128,
        max_seq_len=25,
        module_loss=dict(
            type='CEModuleLoss', flatten=True, ignore_first_char=True, reduction='mean'
        ),
        postprocessor=dict(type='AttentionPostprocessor'),
    ),
)
attention_tokens = dict(with_start=True, with_end=True, same_start_end=True, with_padding=True)

if data == 'numbers':
    _root = 'data/printed_to_handwritten'
    _source = dict(type='OCRDataset', data_root=f'{_root}/source', pipeline=None)
    _target = dict(type='OCRDataset', data_root=f'{_root}/target', pipeline=None)
    source_train = dict(_source, ann_file='textrecog_train.json')
    source_test = dict(_source, ann_file='textrecog_test.json', test_mode=True)
    # No text is in this file.
    target_train = dict(
        type='mmocr_da.UnlabelledDataset',
        dataset=dict(_target, ann_file='textrecog_train.json'),
        pipeline=None,
    )
    # For the bound alone; the converter's --with-target-train-labels writes it.
    target_labelled = dict(_target, ann_file='textrecog_train_labelled.json')
    target_val = dict(_target, ann_file='textrecog_val.json', test_mode=True)
    target_test = dict(_target, ann_file='textrecog_test.json', test_mode=True)
    resize = dict(type='Resize', scale=(64, 16))
    train_pipeline = [load_image, load_text, resize, pack]
    test_pipeline = train_pipeline

    dictionary = dict(
        type='Dictionary',
        dict_file='{{ fileDirname }}/dicts/digits.txt',
        with_unknown=False,
        **attention_tokens,
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
            arch_layers=[1, 1, 1, 1],
            arch_channels=[32, 64, 128, 128],
            strides=[(2, 2), (2, 2), (2, 1), (2, 1)],
        ),  # 16 x 64 -> 1 x 16
        encoder=attention['encoder'],
        decoder=dict(attention['decoder'], dictionary=dictionary),
    )
    metric = dict(type='mmocr_da.TextErrorMetric')
    source_iters, max_iters = 400, 800
    source_schedule = []
    checkpoint_interval, val_interval, source_val_interval = 100, 400, 100
    objective_weight = 1.0  # of SymNet and of entropy minimization
    classifier = 'decoder.fc'
elif data in ('words', 'words-attention'):
    _words = dict(
        type='RecogTextDataset',
        parser_cfg=dict(type='LineStrParser', separator='\t'),
        pipeline=None,
    )
    _source = dict(_words, data_root='{{$MMOCR_DA_SOURCE:data/source_words}}')
    _target = dict(_words, data_root='{{$MMOCR_DA_TARGET:data/target_words}}')
    source_train = dict(_source, ann_file='train.tsv')
    source_test = dict(_source, ann_file='test.tsv', test_mode=True)
    target_train = dict(
        type='mmocr_da.UnlabelledDataset',
        dataset=dict(_target, ann_file='train.tsv'),
        pipeline=None,
    )
    target_labelled = dict(_target, ann_file='train.tsv')  # for the bound alone
    target_val = dict(_target, ann_file='val.tsv', test_mode=True)
    target_test = dict(_target, ann_file='test.tsv', test_mode=True)
    resize = dict(type='Resize', scale=(100, 32))
    train_pipeline = [dict(load_image, ignore_empty=True, min_size=2), load_text, resize, pack]
    test_pipeline = [load_image, load_text, resize, pack]

    # It reads letters and digits without their case: other characters of a label are skipped.
    dictionary = dict(
        type='Dictionary',
        dict_file='{{ fileDirname }}/dicts/lower_english_digits.txt',
        with_padding=True,  # CTC's blank
        with_unknown=True,
        unknown_token=None,
    )
    model = dict(
        type='mmocr_da.AdaptiveRecognizer',
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
    if data == 'words-attention':
        dictionary.update(attention_tokens)
        model.update(attention)
        model['decoder']['dictionary'] = dictionary
        model['decoder']['module_loss']['letter_case'] = 'lower'
    # Letters and digits count, letter case does not.
    metric = dict(type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True)
    source_iters, max_iters = 2000, 300
    checkpoint_interval, val_interval, source_val_interval = 500, 100, 500
    source_schedule = [dict(type='MultiStepLR', by_epoch=False, milestones=[1400], gamma=0.1)]
    # With more, predictions on the target grow longer and longer: `symnet_target_length`.
    objective_weight = 0.1
    classifier = 'decoder.decoder' if data == 'words' else 'decoder.fc'
else:
    raise ValueError(
        f"MMOCR_DA_DATA must be 'numbers', 'words' or 'words-attention' here, got {data!r}"
    )
del attention, attention_tokens

# Every adaptation starts from the recognizer that assda/small/small_source-only.py trains.
load_from = f'work_dirs/small_source-only_{data}/iter_{source_iters}.pth'
global_alignment = dict(
    type='mmocr_da.GlobalAlignment',
    in_channels=128,
    pooling='position',
    weight=0.3,
    schedule='rising',
)
local_alignment = dict(
    type='mmocr_da.LocalAlignment', in_channels=128, weight=0.6, schedule='rising', threshold=0.5
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
    clip_grad=dict(max_norm=5.0),
    # Adversaries that keep up with the features: they learn five times as fast.
    paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=5.0)}),
)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[max_iters * 7 // 10], gamma=0.1)
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=val_interval
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# The runs are short: a killed one loses minutes at most.
default_hooks = dict(checkpoint=dict(interval=checkpoint_interval))
auto_scale_lr = dict(base_batch_size=128)

train_dataloader = dict(
    batch_size=128,  # 64 source + 64 target
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=128, ratio=(1, 1)),
    dataset=dict(
        type='mmocr_da.TwoDomainDataset',
        source=source_train,
        target=target_train,
        pipeline=train_pipeline,
    ),
)
# The source alone, for what adaptation starts from and is compared with.
source_dataloader = dict(
    _delete_=True,
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(source_train, pipeline=train_pipeline),
)

# Source first, then target: the order of the evaluator's dataset_prefixes.
_eval_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_dataloader = dict(
    _eval_dataloader,
    dataset=dict(type='ConcatDataset', datasets=[source_test, target_val], pipeline=test_pipeline),
)
test_dataloader = dict(
    _eval_dataloader,
    dataset=dict(type='ConcatDataset', datasets=[source_test, target_test], pipeline=test_pipeline),
)
val_evaluator = dict(metrics=[metric])
test_evaluator = val_evaluator
