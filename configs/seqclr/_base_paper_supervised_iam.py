"""The labelled words of IAM: 5 % of the training split, all of the others."""

_base_ = ['./_base_paper_supervised.py', '../_base_/datasets/iam.py']

train_dataloader = dict(dataset=dict(datasets=dict(dataset=_base_.iam_textrecog_train)))
val_dataloader = dict(dataset={**_base_.iam_textrecog_val, 'pipeline': _base_.test_steps})
test_dataloader = dict(dataset={**_base_.iam_textrecog_test, 'pipeline': _base_.test_steps})
