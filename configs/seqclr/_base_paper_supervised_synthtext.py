"""SynthText with all of its labels; validated and tested on scene words, case and symbols aside."""

_base_ = [
    './_base_paper_supervised.py',
    'mmocr::textrecog/_base_/datasets/synthtext.py',
    'mmocr::textrecog/_base_/datasets/iiit5k.py',
    'mmocr::textrecog/_base_/datasets/icdar2013.py',
]

train_dataloader = dict(
    dataset=dict(datasets=dict(dataset=_base_.synthtext_textrecog_train, fraction=1.0))
)
# The paper: the training words of IIIT5K and ICDAR 2013 together.
val_dataloader = dict(
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            {**_base_.iiit5k_textrecog_train, 'test_mode': True},
            {**_base_.icdar2013_textrecog_train, 'test_mode': True},
        ],
        pipeline=_base_.test_steps,
    )
)
test_dataloader = dict(
    dataset=dict(
        type='ConcatDataset',
        datasets=[_base_.iiit5k_textrecog_test, _base_.icdar2013_textrecog_test],
        pipeline=_base_.test_steps,
    )
)
test_evaluator = dict(
    _delete_=True,
    type='MultiDatasetsEvaluator',
    metrics=[dict(type='mmocr_da.TextErrorMetric', ignore_case=True, ignore_symbols=True)],
    dataset_prefixes=['IIIT5K', 'IC13'],
)
