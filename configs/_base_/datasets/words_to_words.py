"""Labelled words of one folder, unlabelled words of another.

Both are laid out as in ``words.py``; of the target's train.tsv the paths alone are used.
"""

_base_ = './words.py'

source_data_root = 'data/source_words'
target_data_root = 'data/target_words'

source_words_train = {**_base_.words_train, 'data_root': source_data_root}
source_words_test = {**_base_.words_test, 'data_root': source_data_root}
target_words_train = dict(
    type='mmocr_da.UnlabelledDataset',
    dataset={**_base_.words_train, 'data_root': target_data_root},
    pipeline=None,
)
# To watch a run; a checkpoint that is chosen by it was chosen by labels of the target.
target_words_val = {**_base_.words_val, 'data_root': target_data_root}
target_words_test = {**_base_.words_test, 'data_root': target_data_root}
