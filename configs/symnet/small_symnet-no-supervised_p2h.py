"""SymNet whose features get labels from eq. 8 alone, as in the paper."""

_base_ = './small_symnet_p2h.py'

model = dict(supervised_weight=0)
