"""Words of one folder to words of another with a small CTC recognizer; 64 + 64 images a step."""

_base_ = [
    '../_base_/datasets/words_to_words.py',
    '../_base_/models/ctc_small.py',
    '../_base_/schedules/adam_small.py',
    '../_base_/default_runtime.py',
]

model = dict(type='mmocr_da.AdaptiveRecognizer')
default_hooks = dict(checkpoint=dict(interval=500))
auto_scale_lr = dict(base_batch_size=128)

train_dataloader = dict(
    batch_size=128,  # 64 source + 64 target
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=128, ratio=(1, 1)),
    dataset=dict(
        type='mmocr_da.TwoDomainDataset',
        source=_base_.source_words_train,
        target=_base_.target_words_train,
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[_base_.source_words_test, _base_.target_words_val],
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = {
    **val_dataloader,
    'dataset': {
        **val_dataloader['dataset'],
        'datasets': [_base_.source_words_test, _base_.target_words_test],
    },
}

# Letters and digits count, letter case does not.
val_evaluator = dict(
    metrics=[dict(type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True)]
)
test_evaluator = val_evaluator
