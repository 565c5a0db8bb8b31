"""Printed numbers with text, handwritten numbers without: a first experiment in minutes.

Written by ``tools/dataset_converters/printed_to_handwritten.py``.
"""

p2h_data_root = 'data/printed_to_handwritten'

p2h_source_train = dict(
    type='OCRDataset',
    data_root=f'{p2h_data_root}/source',
    ann_file='textrecog_train.json',
    pipeline=None,
)

p2h_source_test = dict(
    type='OCRDataset',
    data_root=f'{p2h_data_root}/source',
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)

# No text is in this file.
p2h_target_train = dict(
    type='mmocr_da.UnlabelledDataset',
    dataset=dict(
        type='OCRDataset',
        data_root=f'{p2h_data_root}/target',
        ann_file='textrecog_train.json',
        pipeline=None,
    ),
    pipeline=None,
)

# For the supervised upper bound alone; the converter writes it with --with-target-train-labels.
p2h_target_train_labelled = dict(
    type='OCRDataset',
    data_root=f'{p2h_data_root}/target',
    ann_file='textrecog_train_labelled.json',
    pipeline=None,
)

# To watch a run; a checkpoint that is chosen by it was chosen by labels of the target.
p2h_target_val = dict(
    type='OCRDataset',
    data_root=f'{p2h_data_root}/target',
    ann_file='textrecog_val.json',
    test_mode=True,
    pipeline=None,
)

p2h_target_test = dict(
    type='OCRDataset',
    data_root=f'{p2h_data_root}/target',
    ann_file='textrecog_test.json',
    test_mode=True,
    pipeline=None,
)
