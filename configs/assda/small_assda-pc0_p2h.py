"""ASSDA with a gate at p_c = 0."""

_base_ = './_base_small_adaptation.py'

model = dict(objectives=[_base_.global_alignment, {**_base_.local_alignment, 'threshold': 0}])
