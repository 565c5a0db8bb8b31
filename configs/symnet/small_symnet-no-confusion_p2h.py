"""SymNet without confusion: eq. 13 instead of 8, nothing of 9."""

_base_ = './small_symnet_p2h.py'

model = dict(objectives=[dict(_base_.symnet, confusion='none')])
