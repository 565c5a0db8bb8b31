"""The source alone, plus entropy minimization on the target."""

_base_ = './_base_small_p2h.py'

model = dict(objectives=[dict(type='mmocr_da.EntropyMinimization')])
