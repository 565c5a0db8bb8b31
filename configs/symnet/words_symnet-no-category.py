"""SymNet without category confusion: eq. 12 instead of 8."""

_base_ = './words_symnet.py'

model = dict(objectives=[dict(_base_.symnet, confusion='domain')])
