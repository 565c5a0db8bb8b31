"""Domain confusion (eq. 2 to 4), without regard to classes."""

_base_ = './_base_small_p2h.py'

model = dict(objectives=[dict(type='mmocr_da.DomainConfusion', in_channels=128)])
