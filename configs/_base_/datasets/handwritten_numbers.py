"""Handwritten numbers, with and without text: the target of printed_to_handwritten.py by itself.

Written by ``tools/dataset_converters/printed_to_handwritten.py --with-target-train-labels``.
"""

_base_ = './printed_to_handwritten.py'

numbers_unlabelled = _base_.p2h_target_train
numbers_train = _base_.p2h_target_train_labelled
numbers_val = _base_.p2h_target_val
numbers_test = _base_.p2h_target_test
