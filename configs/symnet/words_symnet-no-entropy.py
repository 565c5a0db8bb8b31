"""SymNet without M (eq. 10)."""

_base_ = './words_symnet.py'

model = dict(objectives=[dict(_base_.symnet, entropy=False)])
