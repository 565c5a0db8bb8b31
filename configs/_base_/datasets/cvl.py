"""Handwritten words of CVL, as ``tools/dataset_converters/prepare_dataset.py cvl`` writes them.

English; validation is of three training writers.
"""

cvl_data_root = 'data/cvl'

cvl_textrecog_train = dict(
    type='OCRDataset', data_root=cvl_data_root, ann_file='textrecog_train.json', pipeline=None
)

cvl_textrecog_val = dict(
    type='OCRDataset',
    data_root=cvl_data_root,
    ann_file='textrecog_val.json',
    test_mode=True,
    pipeline=None,
)

cvl_textrecog_test = dict(
    type='OCRDataset',
    data_root=cvl_data_root,
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)
