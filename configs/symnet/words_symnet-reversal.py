"""SymNet whose features are trained by a reversed gradient instead of confusion."""

_base_ = './words_symnet.py'

model = dict(objectives=[dict(_base_.symnet, confusion='reversal')])
