"""Post-tuning of a small attention recognizer on words that are drawn, tested on folders of words.

Every image is drawn when it is loaded, so a recognizer can learn none of them by heart, and the
tuning has others than the training before it. Grey images of 32 x 100 pixels, lower-case letters
and digits. Options, as environment variables:

* ``MMOCR_DA_LEXICON`` (``none``): a file with a word per line; ``none`` draws random strings.
* ``MMOCR_DA_FONTS`` (``none``): a folder of fonts; ``none`` takes those of installed packages.
* ``MMOCR_DA_TEST`` (``data/words``): folders of words, with commas between them. All images of each
  are tested: those of its labels.tsv, with rows ``path<TAB>text``.
* ``MMOCR_DA_SUPERVISED_ITERS`` (6000), ``MMOCR_DA_TUNING_ITERS`` (1000): lengths of the training
  before the tuning and of each tuning.
"""

_base_ = ['../small_words.py', '../models/small_attention.py', '../rendered_words.py']

data = 'rendered'
supervised_iters, supervised_checkpoints = int('{{$MMOCR_DA_SUPERVISED_ITERS:6000}}'), 5
max_iters = int('{{$MMOCR_DA_TUNING_ITERS:1000}}')
load_from = f'work_dirs/small_supervised_rendered/iter_{supervised_iters}.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',  # without objectives a plain recognizer
    channels_last=True,
    encoder=dict(type='ASTEREncoder', in_channels=128),
    decoder=_base_.attention_decoder,
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1.0, end_factor=0.02, end=max_iters)
]
default_hooks = dict(checkpoint=dict(interval=max_iters))

_lexicon, _fonts = '{{$MMOCR_DA_LEXICON:none}}', '{{$MMOCR_DA_FONTS:none}}'
_words = dict(
    _base_.rendered_words,
    lexicon=None if _lexicon == 'none' else _lexicon,
    fonts=None if _fonts == 'none' else _fonts,
    dict_file=_base_.attention_decoder.dictionary.dict_file,
    # Words that no text of 25 steps has room for are not drawn.
    max_length=24,
)
_load, *_others = _base_.train_pipeline
_augmentation = dict(type='mmocr_da.TextAugmentation', strength=1.0)
train_pipeline = [_load, _augmentation, *_others]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='mmocr_da.SeededSampler', batch_size=64),
    dataset=dict(
        _delete_=True,
        type='mmocr_da.SeededDataset',
        datasets=dict(_words, seed=2),
        pipeline=train_pipeline,
    ),
)
supervised_dataset = dict(datasets=dict(seed=0))

# Drawn words, too: what is tested later chooses nothing.
val_dataloader = dict(
    dataset=dict(_delete_=True, **dict(_words, num_images=1000, seed=1, test_mode=True)),
)
val_dataloader['dataset']['pipeline'] = _base_.test_pipeline
val_evaluator = dict(
    _delete_=True,
    type='Evaluator',
    metrics=[dict(type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True)],
)
_folders = '{{$MMOCR_DA_TEST:data/words}}'.split(',')
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type='RecogTextDataset',
                data_root=folder,
                ann_file='labels.tsv',
                parser_cfg=dict(type='LineStrParser', separator='\t'),
                test_mode=True,
                pipeline=None,
            )
            for folder in _folders
        ],
        pipeline=_base_.test_pipeline,
    )
)
test_evaluator = dict(
    _delete_=True,
    type='MultiDatasetsEvaluator',
    metrics=val_evaluator['metrics'],
    dataset_prefixes=[folder.rstrip('/').rpartition('/')[2] for folder in _folders],
)
