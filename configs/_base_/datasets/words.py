"""Labelled words of a folder: train.tsv, val.tsv and test.tsv with rows ``path<TAB>text``.

Paths are relative to the folder. Several folders: ``dict(type='ConcatDataset', datasets=[...])``.
"""

words_data_root = 'data/words'
words_parser = dict(type='LineStrParser', separator='\t')

words_train = dict(
    type='RecogTextDataset',
    data_root=words_data_root,
    ann_file='train.tsv',
    parser_cfg=words_parser,
    pipeline=None,
)

words_val = dict(
    type='RecogTextDataset',
    data_root=words_data_root,
    ann_file='val.tsv',
    parser_cfg=words_parser,
    test_mode=True,
    pipeline=None,
)

words_test = dict(
    type='RecogTextDataset',
    data_root=words_data_root,
    ann_file='test.tsv',
    parser_cfg=words_parser,
    test_mode=True,
    pipeline=None,
)
