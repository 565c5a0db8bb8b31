"""GA: global alignment alone."""

_base_ = './_base_small_adaptation.py'

model = dict(objectives=[_base_.global_alignment])
