"""The source alone, plus entropy minimization on the target."""

_base_ = './_base_words_adaptation.py'

model = dict(objectives=[dict(type='mmocr_da.EntropyMinimization', weight=_base_.symnet.weight)])
