"""LA: local (character-level) alignment alone."""

_base_ = './_base_small_adaptation.py'

model = dict(objectives=[_base_.local_alignment])
