"""Labelled photos of a folder: instances_train.json and instances_test.json, as MMOCR has them.

Paths in them are relative to the folder.
"""

detection_data_root = 'data/rotated_scenes'

detection_train = dict(
    type='OCRDataset', data_root=detection_data_root, ann_file='instances_train.json', pipeline=None
)

detection_test = dict(
    type='OCRDataset',
    data_root=detection_data_root,
    ann_file='instances_test.json',
    test_mode=True,
    pipeline=None,
)
