"""Images standardized one by one: each gets the same mean and deviation, whatever its lighting.

Add it to the bases of a config and its step before the last one of the pipelines:

    _base_ = [
        'mmocr::textrecog/satrn/satrn_shallow_5e_st_mj.py',
        'mmocr_da::_base_/standardized.py',
    ]
    train_pipeline = [*_base_.train_pipeline[:-1], _base_.standardize, _base_.train_pipeline[-1]]
    test_pipeline = [*_base_.test_pipeline[:-1], _base_.standardize, _base_.test_pipeline[-1]]
    train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
    val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

``_base_.dark_on_bright`` after ``_base_.standardize`` also inverts images whose text is brighter
than their background.

Both are transforms of MMOCR, so that an exported config needs only MMOCR: a condition that changes
the image, and no transforms for the case that it is true.
"""

# (x - mean) / deviation over all pixels and channels, then * 64 + 127.5: the range of images, which
# the data_preprocessor of a recognizer expects. Columns that PadToWidth added are not counted and
# become 127.5. The sums of 8-bit values are exact, so padding does not change the result at all. A
# deviation below 1 counts as 1: an image of a single colour becomes 127.5, and faint noise stays
# faint.
standardize = dict(
    type='ConditionApply',
    condition='results.update(img=(lambda x, padding: np.hstack(['
    '127.5 + 64 * (x - x.mean()) / max((x * x).mean() - x.mean() ** 2, 1) ** 0.5, '
    'np.full_like(padding, 127.5)]).astype(np.float32))'
    "(*np.split(results['img'].astype(float), "
    "[max(1, round(results['img'].shape[1] * results.get('valid_ratio', 1)))], axis=1)))",
)

# Text covers less than half of an image: if the tail of the values is bright, so is the text.
dark_on_bright = dict(
    type='ConditionApply',
    condition="((results['img'] - 127.5) ** 3).sum() > 0 "
    "and results.update(img=255 - results['img'])",
)
