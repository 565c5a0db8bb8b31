"""SymNet without M (eq. 10)."""

_base_ = './small_symnet_p2h.py'

model = dict(objectives=[dict(_base_.symnet, entropy=False)])
