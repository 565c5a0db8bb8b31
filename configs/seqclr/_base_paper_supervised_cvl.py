"""The labelled words of CVL: 5 % of the training split, all of the others."""

_base_ = ['./_base_paper_supervised.py', '../_base_/datasets/cvl.py']

train_dataloader = dict(dataset=dict(datasets=dict(dataset=_base_.cvl_textrecog_train)))
val_dataloader = dict(dataset={**_base_.cvl_textrecog_val, 'pipeline': _base_.test_steps})
test_dataloader = dict(dataset={**_base_.cvl_textrecog_test, 'pipeline': _base_.test_steps})
