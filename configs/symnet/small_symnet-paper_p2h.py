"""SymNet as printed: the features get labels from eq. 8 alone."""
_base_ = './small_symnet_p2h.py'

model = dict(supervised_weight=0)
