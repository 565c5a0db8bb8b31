"""Domain confusion plus entropy minimization."""
_base_ = './_base_small_p2h.py'

model = dict(objectives=[
    dict(type='mmocr_da.DomainConfusion', in_channels=128),
    dict(type='mmocr_da.EntropyMinimization')
])
