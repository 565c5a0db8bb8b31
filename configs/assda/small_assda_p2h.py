"""ASSDA: global and local alignment together."""

_base_ = './_base_small_adaptation.py'

model = dict(objectives=[_base_.global_alignment, _base_.local_alignment])
