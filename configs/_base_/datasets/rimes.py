"""Handwritten words of RIMES, as ``tools/dataset_converters/prepare_dataset.py rimes`` writes them.

French, the splits of ICDAR 2011.
"""

rimes_data_root = 'data/rimes'

rimes_textrecog_train = dict(
    type='OCRDataset', data_root=rimes_data_root, ann_file='textrecog_train.json', pipeline=None
)

rimes_textrecog_val = dict(
    type='OCRDataset',
    data_root=rimes_data_root,
    ann_file='textrecog_val.json',
    test_mode=True,
    pipeline=None,
)

rimes_textrecog_test = dict(
    type='OCRDataset',
    data_root=rimes_data_root,
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)
