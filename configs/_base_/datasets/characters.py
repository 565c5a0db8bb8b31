"""Isolated characters in many styles; the test asks for font families that were never seen.

Written by ``tools/dataset_converters/styled_characters.py``.
"""

characters_data_root = 'data/styled_characters'

characters_train = dict(
    type='OCRDataset',
    data_root=characters_data_root,
    ann_file='textrecog_train.json',
    pipeline=None,
)

characters_test = dict(
    type='OCRDataset',
    data_root=characters_data_root,
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)
