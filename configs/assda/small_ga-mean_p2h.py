"""GA on the mean of an image's map instead of its positions."""

_base_ = './_base_small_adaptation.py'

model = dict(objectives=[{**_base_.global_alignment, 'pooling': 'mean'}])
