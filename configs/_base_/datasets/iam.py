"""Handwritten words of IAM, as ``tools/dataset_converters/prepare_dataset.py iam`` writes them.

English; validation is the two official sets together.
"""

iam_data_root = 'data/iam'

iam_textrecog_train = dict(
    type='OCRDataset', data_root=iam_data_root, ann_file='textrecog_train.json', pipeline=None
)

iam_textrecog_val = dict(
    type='OCRDataset',
    data_root=iam_data_root,
    ann_file='textrecog_val.json',
    test_mode=True,
    pipeline=None,
)

iam_textrecog_test = dict(
    type='OCRDataset',
    data_root=iam_data_root,
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)
