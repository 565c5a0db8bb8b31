"""SymNet without category confusion: eq. 12 instead of 8."""

_base_ = './small_symnet_p2h.py'

model = dict(objectives=[dict(_base_.symnet, confusion='domain')])
