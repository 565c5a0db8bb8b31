"""SymNet whose features are trained by a reversed gradient instead of confusion."""

_base_ = './small_symnet_p2h.py'

model = dict(objectives=[dict(_base_.symnet, confusion='reversal')])
