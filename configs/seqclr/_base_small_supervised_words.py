"""Labelled images of ``words.py``: 5 % of them to train on."""
_base_ = ['./_base_small_supervised.py', '../_base_/datasets/words.py']

train_dataloader = dict(dataset=dict(datasets=dict(dataset=_base_.words_train)))
val_dataloader = dict(dataset={**_base_.words_val, 'pipeline': _base_.test_steps})
test_dataloader = dict(dataset={**_base_.words_test, 'pipeline': _base_.test_steps})
